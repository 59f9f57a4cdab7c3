//! Netlink below XFRM and rtnetlink: messages and attributes as bytes, one request, one dump, one subscription.
//!
//! An own codec and not a crate, because messages here hold keys: buffers are wiped, nothing prints them, a
//! short message is an error and not a panic, and interrupted dumps and the kernel's own error texts are kept.
//!
//! Not for: what the messages of one family mean.

pub mod ack;
pub mod exchange;
pub mod fields;
pub mod frame;
pub mod message;
pub mod socket;
pub mod subscription;

pub use ack::NetlinkError;
pub use fields::DecodeError;
