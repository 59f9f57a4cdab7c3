//! Configuration.

pub mod desired;
