//! The datapath of esp-agent as pure functions: what happens to a frame, in the order in which it happens.
//!
//! `packet -> parse -> classify -> policy -> verdict -> count`, over two seams: [`Packet`] (checked loads) and
//! [`Tables`] (lookups and counters). The programs in `programs/` join a kernel context to them; tests join a
//! byte slice and ordinary maps, so the same code runs in the kernel, under `cargo test` and in a fuzzer.
//!
//! Not for: talking to the kernel's control interfaces (`esp-agent`), the layout of maps (`esp-common`).
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod budget;
pub mod classifier;
pub mod classify;
pub mod outcome;
pub mod packet;
pub mod parse;
pub mod pipeline;
pub mod policy;
pub mod sequence;
pub mod steer;
pub mod tables;
pub mod transit;
pub mod verdict;
pub mod words;

pub use outcome::Outcome;
pub use packet::{Link, Packet};
pub use pipeline::{Place, tc_egress, tc_ingress, xdp};
pub use tables::{Purse, Tables};
pub use words::Words;
