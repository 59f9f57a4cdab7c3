//! One entry for each hook.

mod clock;
mod cpumap;
mod tc;
mod xdp;
