//! The joints between the kernel and the pure datapath.

pub(crate) mod frame;
pub(crate) mod maps;
pub(crate) mod place;
mod sad;
mod search;
