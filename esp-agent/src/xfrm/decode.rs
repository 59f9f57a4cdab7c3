//! Message to model: what the kernel shows, in dumps and in events. Keys become prints at once.

pub mod event;
pub mod policy;
pub mod sa;
mod shared;

pub use event::{Event, event};
pub use policy::{default_policy, policy};
pub use sa::sa;
