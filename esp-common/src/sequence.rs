//! What is remembered of an SA's sequence numbers (RFC 4303 section 2.2): sixteen words that all CPUs share.
//!
//! A ring of words holds which numbers have come: each a block of 32 numbers, its own number in the upper half and a bit
//! for each number in the lower. A block that comes to a place settles the one that was there: what it lacks is lost.

/// Words of an SA.
pub const WORDS: usize = 16;
/// Words in the ring.
pub const RING: usize = 8;
/// Numbers of a block.
pub const BLOCK: u64 = 32;

/// The block of the highest number, plus one; 0 is none yet. Most packets leave it as it is.
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

/// The highest number of a block by its word; the last one if another block has taken its place.
#[inline(always)] // as above
#[must_use]
pub const fn highest(word: u64, block: u64) -> u64 {
    let unset = if block_of(word, block) == block && word != 0 { (word as u32).leading_zeros() } else { 0 };
    block.wrapping_mul(BLOCK).wrapping_add(BLOCK.wrapping_sub(1)).wrapping_sub(unset as u64)
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
    pub fn of(words: &[u64; WORDS]) -> Option<Self> {
        let [top, _, ring @ .., base, lost, late, duplicate, old, depth] = words;
        let (last, base) = (top.checked_sub(1)?, base.checked_sub(1)?);
        let highest = highest(ring.get(last as usize % RING).copied().unwrap_or(0), last);
        Some(Self {
            highest: highest.wrapping_sub(EPOCH),
            lost: *lost,
            missing: open(ring, highest, base),
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

/// Numbers up to the highest that are missing in the ring.
#[inline(always)] // the verifier follows the words
#[must_use]
pub fn open(ring: &[u64; RING], highest: u64, base: u64) -> u64 {
    let last = highest / BLOCK;
    let mut lost = 0_u64;
    for (place, word) in (0_u64..).zip(ring) {
        // The block that would settle the newest one of this place.
        let behind = last.wrapping_sub(place) % RING as u64;
        let block = last.wrapping_sub(behind).wrapping_add(RING as u64);
        // A packet that is being noted may be ahead of the highest number.
        if block_of(*word, block) < block || *word == 0 {
            lost = lost.wrapping_add(missing(*word, block, base));
        }
    }
    // Those that are still to come.
    lost.saturating_sub(BLOCK.wrapping_sub(1).wrapping_sub(highest % BLOCK))
}
