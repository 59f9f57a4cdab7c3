//! The eBPF side as the agent sees it: object, pins, maps, programs.
//!
//! The order is load, fill, attach, and the types hold it: only [`load::Loaded`] can be filled, only a filled one attached.

pub mod attach;
pub mod banks;
pub mod behind;
mod btf;
pub mod classifier;
pub mod clock;
pub mod clsact;
pub mod cpus;
mod error;
pub mod fill;
pub mod flat;
pub mod ghosts;
pub(crate) mod grace;
pub mod image;
mod in_force;
pub mod inner;
mod kfunc;
pub mod load;
pub mod mapped;
pub mod maps;
pub mod newest;
pub mod object;
pub mod pins;
pub mod queues;
pub mod ranges;
pub mod read;
pub mod resize;
pub mod rules;
pub mod samples;
pub mod table;
pub mod tellers;
pub mod tunnels;
pub mod upgrade;

pub use error::DatapathError;
