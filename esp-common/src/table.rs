//! The table of SAs: an index of buckets, and lines with key and counters. Written by the agent, read by the datapath.
//!
//! A packet costs two cache lines whatever the number of SAs: the bucket that its key hashes to, and its SA's line on its
//! own CPU. The line confirms the whole key; an entry of the index only says where to look.

use crate::{addr::Addr, flow::FlowKey, sa::SaEntry};
use bytemuck::{Pod, Zeroable};

/// Entries of a bucket.
pub const ENTRIES: usize = 7;

/// The first element of the index: how to find a key in the others. It lives and dies with the table that it describes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Shape {
    /// The keys of the hash, random: whoever chooses SPIs cannot choose which of them collide.
    pub keys: [u64; 6],
    /// Buckets less one; their number is a power of two.
    pub mask: u32,
    /// Lines of each CPU.
    pub slots: u32,
    /// Odd while counts move out of a line.
    pub moves: u64,
}

impl Shape {
    /// The bucket of a key, as an index of the map.
    ///
    /// Multilinear hashing over the five 32-bit words of the key: any two keys meet in the upper half of the sum with
    /// probability 2^-32, whatever they are (Lemire and Kaser, "Strongly universal string hashing is fast", theorem 1).
    #[inline(always)] // five multiplications
    #[must_use]
    pub const fn bucket(&self, key: &FlowKey) -> u32 {
        const LOW: u64 = u32::MAX as u64;
        let [k0, k1, k2, k3, k4, k5] = self.keys;
        let [a, b] = key.dst.words();
        let spi = u32::from_ne_bytes(key.spi.wire()) as u64;
        let sum = k0
            .wrapping_add(k1.wrapping_mul(a & LOW))
            .wrapping_add(k2.wrapping_mul(a >> 32))
            .wrapping_add(k3.wrapping_mul(b & LOW))
            .wrapping_add(k4.wrapping_mul(b >> 32))
            .wrapping_add(k5.wrapping_mul(spi));
        ((sum >> 32) as u32 & self.mask).wrapping_add(1)
    }

    /// The first of the [`WAYS`] lines of a ghost on a CPU, as an index of the map.
    #[inline(always)] // as above
    #[must_use]
    pub const fn ghost(&self, cpu: u32, key: &FlowKey) -> u32 {
        let set = self.bucket(key).wrapping_sub(1).wrapping_mul(WAYS);
        cpu.wrapping_mul(self.slots).wrapping_add(set).wrapping_add(1)
    }

    /// Elements of the index for so many SAs: buckets with one to two of them on average, and the shape.
    #[must_use]
    pub const fn elements(sas: u32) -> u32 {
        sas.div_ceil(2).next_power_of_two() + 1
    }

    /// Lines of each CPU for so many SAs: those that are gone keep theirs for a while.
    #[must_use]
    pub const fn slots_for(sas: u32) -> u32 {
        sas + sas / 4 + 16
    }
}

/// Lines of one hash in the table of ghosts.
pub const WAYS: u32 = 4;

/// Lines of each CPU in the table of ghosts, of at least so many.
#[must_use]
pub const fn ghost_slots(ghosts: u32) -> u32 {
    let slots = ghosts.next_power_of_two();
    if slots < WAYS { WAYS } else { slots }
}

/// Where up to seven SAs of one hash have their lines.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Bucket {
    /// [`Bucket::OVERFLOW`].
    pub flags: u64,
    /// [`entry`], or 0.
    pub entries: [u64; ENTRIES],
}

impl Bucket {
    /// More SAs than entries: the others are in the hash map.
    pub const OVERFLOW: u64 = 1;
}

/// An entry: the SPI as it is on the wire in the lower half, the slot in the upper. SPI 0 is no SA, so 0 is no entry.
#[inline(always)] // one shift
#[must_use]
pub const fn entry(key: &FlowKey, slot: u32) -> u64 {
    (slot as u64) << 32 | u32::from_ne_bytes(key.spi.wire()) as u64
}

/// The slot of an entry that may be the key's.
#[inline(always)] // one compare
#[must_use]
pub const fn slot_of(entry: u64, key: &FlowKey) -> Option<u32> {
    if entry as u32 == u32::from_ne_bytes(key.spi.wire()) { Some((entry >> 32) as u32) } else { None }
}

/// An SA on one CPU: its key, what it is, what was counted. Times are in units of [`SaLine::TIME_SHIFT`].
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct SaLine {
    /// Outer destination.
    pub dst: Addr,
    /// The source address of the first packet.
    pub src: Addr,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// First seen.
    pub first: u32,
    /// Last seen.
    pub last: u32,
    /// SPI, in the order of the wire; 0 is a free line.
    pub spi: u32,
    /// [`meta`].
    pub meta: u16,
    /// [`claim`]: the flow that is counted here, that of the first packet. 0 is none yet; packets of the SA on another
    /// interface or in the other direction are counted elsewhere.
    pub claim: u16,
}

impl SaLine {
    /// Times are ns of CLOCK_MONOTONIC shifted by this: units of 17 ms, 833 days in 32 bits.
    pub const TIME_SHIFT: u32 = 24;

    /// True when it is the key's.
    #[inline(always)] // three compares
    #[must_use]
    pub const fn is_of(&self, key: &FlowKey) -> bool {
        let ([a, b], [c, d]) = (self.dst.words(), key.dst.words());
        ((a ^ c) | (b ^ d) | (self.spi ^ u32::from_ne_bytes(key.spi.wire())) as u64) == 0
    }
}

/// Tunnel and flags in sixteen bits.
#[must_use]
pub const fn meta(sa: &SaEntry) -> u16 {
    (sa.tunnel & 0xfff) as u16 | (sa.flags as u16) << 12
}

/// What [`meta`] made of them.
#[inline(always)] // two shifts
#[must_use]
pub const fn entry_of(meta: u16) -> SaEntry {
    SaEntry { tunnel: (meta & 0xfff) as u32, flags: (meta >> 12) as u32 }
}

/// Interface and direction in sixteen bits, never 0.
#[inline(always)] // two shifts
#[must_use]
pub const fn claim(iface: u16, direction: u8) -> u16 {
    0x8000 | (direction as u16 & 1) << 8 | (iface & 0xff)
}

/// What [`claim`] made of them: interface and direction.
#[must_use]
pub const fn claimed(claim: u16) -> (u16, u8) {
    (claim & 0xff, (claim >> 8) as u8 & 1)
}

const _: () = {
    assert!(size_of::<Shape>() == 64 && size_of::<Bucket>() == 64 && size_of::<SaLine>() == 64);
    assert!(crate::names::TUNNELS <= 1 << 12 && crate::names::IFACES <= 1 << 8);
    assert!(core::mem::offset_of!(SaLine, meta) == 60 && core::mem::offset_of!(SaLine, claim) == 62);
};
