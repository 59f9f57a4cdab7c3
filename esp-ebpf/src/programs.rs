//! One entry for each hook.

mod clock;
mod cpumap;
mod newest;
mod tc;
mod xdp;
