//! One entry for each hook.

mod tc;
mod xdp;
