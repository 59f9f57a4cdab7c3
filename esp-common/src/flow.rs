//! What identifies an ESP flow.

use crate::{addr::Addr, spi::Spi};
use bytemuck::{Pod, Zeroable};

/// Which way a packet crosses the interface.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// From the wire.
    In = 0,
    /// To the wire.
    Out = 1,
}

impl Direction {
    /// Both directions, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }

    /// The direction of a number: everything but 0 is out.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Self {
        if raw == 0 { Self::In } else { Self::Out }
    }

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// The key of an SA: what the kernel finds it by (`__xfrm_state_lookup`; the source is ignored).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Pod, Zeroable)]
pub struct FlowKey {
    /// Outer destination.
    pub dst: Addr,
    /// SPI.
    pub spi: Spi,
    /// Zero.
    pub pad: [u8; 4],
}

impl FlowKey {
    /// The key of (destination, SPI).
    #[inline(always)] // built on the caller's stack, in place
    #[must_use]
    pub const fn new(dst: Addr, spi: Spi) -> Self {
        Self { dst, spi, pad: [0; 4] }
    }
}

/// Where a flow was seen: the key of its counters.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Pod, Zeroable)]
pub struct SeenKey {
    /// Outer destination.
    pub dst: Addr,
    /// SPI.
    pub spi: Spi,
    /// [`Direction::as_raw`].
    pub direction: u8,
    /// Zero.
    pub pad: u8,
    /// Index of the interface in the interface table.
    pub iface: u16,
}

const _: () = {
    assert!(size_of::<FlowKey>() == 24 && size_of::<SeenKey>() == 24);
    assert!(core::mem::offset_of!(FlowKey, spi) == 16 && core::mem::offset_of!(SeenKey, iface) == 22);
};
