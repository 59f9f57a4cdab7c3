//! Fresh key material: which keys a suite takes, random ones, and files that only their owner can read.

pub mod fresh;
pub mod private;
pub mod suite;
