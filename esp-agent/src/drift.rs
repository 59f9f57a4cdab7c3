//! Drift: what the configuration asks for and the kernel, brought there once, no longer has.
//!
//! Found by events and confirmed by a fresh reading; the plan from there is the repair. An object that someone
//! keeps undoing is repaired ever more slowly, so that two programs never fight; one that another program has made in
//! place of ours is not touched; an SA that the kernel ended at its hard limit is meant to be gone.

mod backoff;
mod look;
mod object;
mod watch;

pub use backoff::Backoff;
pub use look::{Finding, What, look};
pub use object::Object;
pub use watch::Watch;
