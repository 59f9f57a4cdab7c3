//! What is told of a dropped packet.

use crate::addr::Addr;
use bytemuck::{Pod, Zeroable};

/// A dropped packet.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct Sample {
    /// When, in ns of CLOCK_MONOTONIC (tick resolution).
    pub time_ns: u64,
    /// Source.
    pub src: Addr,
    /// Destination.
    pub dst: Addr,
    /// The kernel's index of the policy that was broken; 0 is none.
    pub policy: u32,
    /// Bytes of the frame.
    pub len: u32,
    /// The first eight bytes behind the IP headers, as they are on the wire: SPI and sequence number, or ports. Zero where
    /// they are not there.
    pub upper: [u8; 8],
    /// Index of the interface in the interface table.
    pub iface: u16,
    /// Upper-layer protocol.
    pub proto: u8,
    /// [`crate::Reason::as_raw`].
    pub reason: u8,
    /// [`crate::Hook::as_raw`].
    pub hook: u8,
    /// Zero.
    pub pad: [u8; 3],
}

/// Part of [`crate::Settings`]: how many are told.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Sampling {
    /// ns between two samples in the long run; 0 is none at all.
    pub interval_ns: u32,
    /// By how many ns samples may be ahead.
    pub burst_ns: u32,
}

const _: () = assert!(size_of::<Sample>() == 64 && size_of::<Sampling>() == 8);
