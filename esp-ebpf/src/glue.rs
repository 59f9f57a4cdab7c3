//! The joints between the kernel and the pure datapath.

mod budgets;
mod classifier;
mod counters;
mod forward;
pub(crate) mod frame;
mod ghosts;
pub(crate) mod maps;
mod opaque;
pub(crate) mod place;
mod sad;
mod samples;
mod sas;
mod search;
mod shared;
pub(crate) mod steer;
