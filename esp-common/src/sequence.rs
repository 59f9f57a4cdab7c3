//! What is remembered of an SA's sequence numbers (RFC 4303 section 2.2): seventeen words that all CPUs share.
//!
//! A word holds which numbers of a block of 32 have come: the block's own number in the upper half, a bit for each number in
//! the lower. The block of the highest number is the *head*, in an array where eight SAs share a cache line: nearly all
//! packets touch nothing else. Behind it is a ring of the blocks before. A block that comes to a place in it settles the one
//! that was there: what it lacks is lost.

use bytemuck::{Pod, Zeroable};

/// Words of an SA beside its head.
pub const WORDS: usize = 16;
/// Words in the ring.
pub const RING: usize = 8;
/// Numbers of a block.
pub const BLOCK: u64 = 32;

/// Numbers that may be skipped at once. With more the peer may have begun anew.
pub const MAX_JUMP: u64 = 1 << 20;

/// In a head: the last packet spoke for a peer that began anew ([`PROOF`]), so the next one must not pass it by.
pub const DOUBT: u64 = 1 << 63;

/// A block not below that of the head, plus one: it tells the bits of its number that the head has no room for.
pub const TOP: usize = 0;
/// How many packets in a row speak for a peer that began anew, and the number that the next one would have.
pub const PROOF: usize = 1;
/// The ring: the first six words lie in the cache line of the two above.
pub const FIRST: usize = 2;
/// The first number, extended and plus one; 0 is none yet.
pub const BASE: usize = FIRST + RING;
/// Numbers that never came, of blocks that have left the ring.
pub const LOST: usize = BASE + 1;
/// Packets behind a higher number, each for the first time.
pub const LATE: usize = BASE + 2;
/// Packets that had come before.
pub const DUPLICATE: usize = BASE + 3;
/// Packets from before the ring: late or duplicate, nobody knows.
pub const OLD: usize = BASE + 4;
/// By how much a late packet was behind the highest number at most, in the lower half; in the upper, how often the numbers
/// began anew.
pub const DEPTH: usize = BASE + 5;

/// An extended number's unit of the upper half. Numbers start in it, so that those before the first are none below zero.
const EPOCH: u64 = 1 << 32;

/// The first number of an SA, extended.
#[inline(always)] // one addition
#[must_use]
pub const fn extended(low: u32) -> u64 {
    EPOCH | low as u64
}

/// A number that begins anew above block `last`, extended.
#[inline(always)] // as above
#[must_use]
pub const fn anew(low: u32, last: u64) -> u64 {
    ((last.wrapping_mul(BLOCK) >> 32).wrapping_add(1) << 32) | low as u64
}

/// The head of a block with these numbers, one at least.
#[inline(always)] // as above
#[must_use]
pub const fn head(block: u64, bits: u32) -> u64 {
    word(block, bits) & !DOUBT
}

/// The block of a head: the one with its 31 bits that is nearest to another.
#[inline(always)] // as above
#[must_use]
pub const fn block_of_head(head: u64, near: u64) -> u64 {
    let ahead = (((head >> 32) as u32).wrapping_sub(near as u32) << 1) as i32 >> 1;
    near.wrapping_add(ahead as i64 as u64)
}

/// The highest number of a block with these, one at least.
#[inline(always)] // as above
#[must_use]
pub const fn highest(block: u64, bits: u32) -> u64 {
    let unset = bits.leading_zeros() as u64;
    block.wrapping_mul(BLOCK).wrapping_add(BLOCK.wrapping_sub(1)).wrapping_sub(unset)
}

/// The word of a block with these numbers.
#[inline(always)] // as above
#[must_use]
pub const fn word(block: u64, bits: u32) -> u64 {
    (block << 32) | bits as u64
}

/// The block of a word: the one with its lower half that is nearest to another.
#[inline(always)] // as above
#[must_use]
pub const fn block_of(word: u64, near: u64) -> u64 {
    let ahead = ((word >> 32) as u32).wrapping_sub(near as u32) as i32;
    near.wrapping_add(ahead as i64 as u64)
}

/// Numbers that are missing of all blocks before `block` at its place in the ring, where `word` stands; `base` is the first
/// number of the SA.
#[inline(always)] // small, and the datapath has no stack to spare
#[must_use]
pub const fn missing(word: u64, block: u64, base: u64) -> u64 {
    let first = base / BLOCK;
    if block < first {
        return 0;
    }
    let held = block_of(word, block);
    let mut lost = 0;
    let next = if word == 0 || held < first {
        first.wrapping_add(block.wrapping_sub(first) % RING as u64)
    } else {
        let counts = counted(held, base);
        lost = (counts & !(word as u32)).count_ones() as u64;
        held.wrapping_add(RING as u64)
    };
    if next < block {
        let blocks = block.wrapping_sub(next) / RING as u64;
        let before = BLOCK.wrapping_sub(counted(next, base).count_ones() as u64);
        lost = lost.wrapping_add(blocks.wrapping_mul(BLOCK)).wrapping_sub(before);
    }
    lost
}

/// The numbers of a block that are not before the first.
#[inline(always)] // one shift
const fn counted(block: u64, base: u64) -> u32 {
    if block == base / BLOCK { u32::MAX << (base % BLOCK) } else { u32::MAX }
}

/// All words of an SA.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Numbers {
    /// Its head; 0 before its first packet.
    pub head: u64,
    /// The others.
    pub rest: [u64; WORDS],
}

impl Numbers {
    /// What they told so far, for an SA whose next packet is the first that is seen: what is missing is lost.
    #[must_use]
    pub fn begun_anew(&self) -> Self {
        let mut rest = self.rest;
        rest.iter_mut().take(LOST).for_each(|word| *word = 0);
        rest[LOST] = rest[LOST].wrapping_add(Sight::of(self).map_or(0, |sight| sight.missing));
        Self { head: 0, rest }
    }
}

/// What the numbers of an SA tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sight {
    /// The highest number; its upper half counts from where the SA was first seen.
    pub highest: u64,
    /// Numbers that never came, of blocks that have left the ring: it only grows.
    pub lost: u64,
    /// Numbers of blocks in the ring that have not come yet.
    pub missing: u64,
    /// Packets behind a higher number.
    pub late: u64,
    /// Packets that had come before.
    pub duplicate: u64,
    /// Packets from so far back that late and duplicate cannot be told apart.
    pub old: u64,
    /// By how much a late packet was behind the highest number at most.
    pub depth: u32,
    /// How often the numbers began anew.
    pub restarts: u32,
}

impl Sight {
    /// What the words of an SA tell; `None` before its first packet.
    #[must_use]
    pub fn of(numbers: &Numbers) -> Option<Self> {
        let [top, _, ring @ .., base, lost, late, duplicate, old, depth] = &numbers.rest;
        let (top, base) = (top.checked_sub(1)?, base.checked_sub(1)?);
        let (last, bits) = (block_of_head(numbers.head, top), numbers.head as u32);
        if bits == 0 {
            return None;
        }
        Some(Self {
            highest: highest(last, bits).wrapping_sub(EPOCH),
            lost: *lost,
            missing: open(ring, last, bits, base),
            late: *late,
            duplicate: *duplicate,
            old: *old,
            depth: *depth as u32,
            restarts: (depth >> 32) as u32,
        })
    }

    /// The replay window that would have let all late packets through, in packets (RFC 4303 section 3.4.3).
    #[must_use]
    pub const fn window(&self) -> u64 {
        self.depth as u64 + 1
    }
}

/// Numbers up to the highest that are missing in the ring and in the head: block `last` with `bits`.
#[inline(always)] // the verifier follows the words
#[must_use]
pub fn open(ring: &[u64; RING], last: u64, bits: u32, base: u64) -> u64 {
    // Of the head those below its highest.
    let below = u32::MAX.checked_shr(bits.leading_zeros()).unwrap_or(0);
    let counts = if last < base / BLOCK { 0 } else { counted(last, base) };
    let mut lost = u64::from((counts & below & !bits).count_ones());
    for (place, held) in (0_u64..).zip(ring) {
        // Which block would settle the newest one below the head that this place may have.
        let behind = last.wrapping_sub(place).wrapping_sub(1) % RING as u64;
        let next = last.wrapping_sub(behind).wrapping_sub(1).wrapping_add(RING as u64);
        // The head may have gone on since it was read.
        if *held == 0 || block_of(*held, next) < next {
            lost = lost.wrapping_add(missing(*held, next, base));
        }
    }
    lost
}
