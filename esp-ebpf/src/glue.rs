//! The joints between the kernel and the pure datapath.

mod budgets;
mod classifier;
mod counters;
mod forward;
pub(crate) mod frame;
mod ghosts;
mod kept;
mod locals;
pub(crate) mod maps;
pub(crate) mod newest;
mod opaque;
pub(crate) mod place;
mod route;
mod sad;
mod samples;
mod sas;
mod search;
mod shared;
pub(crate) mod steer;
mod word;
