//! The eBPF side as the agent sees it: object, pins, maps, programs.
//!
//! The order is load, fill, attach, and the types hold it: only [`load::Loaded`] can be filled, only a filled one attached.

pub mod attach;
pub mod clsact;
mod error;
pub mod fill;
pub mod image;
pub mod inner;
mod kfunc;
pub mod load;
pub mod maps;
pub mod object;
pub mod pins;
pub mod ranges;
pub mod read;
pub mod resize;
pub mod rules;
pub mod tunnels;

pub use error::DatapathError;
