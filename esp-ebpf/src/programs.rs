//! One entry for each hook.

mod clock;
mod tc;
mod xdp;
