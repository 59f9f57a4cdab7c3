//! The kernel's IPsec databases, the SAD and the SPD, over netlink.

pub mod model;
