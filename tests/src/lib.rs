//! Test harness.

pub mod kernel;
