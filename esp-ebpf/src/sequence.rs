//! What the sequence numbers of an SA tell without its keys: lost, late, duplicate, and how large a replay window would
//! have been enough.
//!
//! RX queues may spread an SA over CPUs, so all of them share what is remembered. Every change is a compare-and-swap of one
//! word, and each word stands for itself: what two CPUs do at once comes out as if one had come after the other.

use crate::Words;
use esp_common::sequence::{
    BASE, BLOCK, DEPTH, DOUBT, DUPLICATE, FIRST, LATE, LOST, MAX_JUMP, OLD, PROOF, RING, TOP, anew, block_of,
    block_of_head, extended, head, highest, missing, open, word,
};

/// Packets in a row, each with the next number, that prove it. RFC 3550 appendix A.1 asks for two; a path that doubles
/// packets, or a few that are played back, must not look like it.
const ENOUGH: u64 = 4;
/// A swap fails when another CPU's went through: more often in a row than this it happens on no machine.
const TRIES: usize = 8;

/// Takes note of a number that is the highest so far and of the block of the one before: most are, and one swap of their
/// head is all that they take. False when it is another, or another CPU was faster: nothing has happened, and
/// [`Sequence::see`] takes note.
#[inline(always)] // a few instructions on the way of each packet
pub fn next<H: Words>(heads: H, low: u32) -> bool {
    let old = heads.load(0);
    // What is in doubt is shifted out of the block here, and negative below.
    let ahead = low.wrapping_sub(((old >> 32) as u32).wrapping_mul(BLOCK as u32));
    ahead < BLOCK as u32
        && old as i64 > 0
        && u64::from(old as u32) >> ahead == 0
        && heads.swap(0, old, old | 1 << ahead)
}

/// What is known of an SA: its head, and the other words.
#[derive(Clone, Copy)]
pub struct Sequence<H, W>(pub H, pub W);

/// Where a block is.
#[inline(always)] // two instructions
const fn place(block: u64) -> usize {
    FIRST.wrapping_add(block as usize % RING)
}

/// What became of a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It is the highest.
    Highest,
    /// A higher one had come before.
    Late,
    /// It had come before.
    Twice,
    /// The ring has gone on.
    Gone,
    /// Other CPUs were always first.
    Beaten,
}

impl<H: Words, W: Words> Sequence<H, W> {
    /// Takes note of a number as it is on the wire. False when it could not: it will seem lost.
    #[inline(always)] // the verifier follows the words
    pub fn see(self, low: u32) -> bool {
        let old = self.0.load(0);
        if old == 0 {
            return self.begin(low);
        }
        let last = self.last(old);
        // Of an extended number only the lower half is on the wire (RFC 4303 section 2.2.1): it is the nearest one.
        let near = last.wrapping_mul(BLOCK);
        let ahead = i64::from(low.wrapping_sub(near as u32) as i32);
        if ahead > MAX_JUMP as i64 {
            self.prove(low);
            return true;
        }
        let number = near.wrapping_add(ahead as u64);
        match self.mark(number) {
            Mark::Highest => self.calm(),
            Mark::Late => {
                self.calm();
                self.add(LATE, 1);
                self.deepen(number);
            }
            Mark::Twice => {
                self.add(DUPLICATE, 1);
                self.prove(low);
            }
            Mark::Gone => {
                self.add(OLD, 1);
                self.prove(low);
            }
            Mark::Beaten => return false,
        }
        true
    }

    /// The first packet. Of two CPUs that have one, either may name the first number.
    #[inline(always)] // as above
    fn begin(self, low: u32) -> bool {
        let number = extended(low);
        let block = number / BLOCK;
        self.swap(BASE, 0, number.wrapping_add(1));
        self.raise(block);
        self.0.swap(0, 0, head(block, bit(number))) || self.mark(number) != Mark::Beaten
    }

    /// The block of a head that was read.
    #[inline(always)] // one load
    fn last(self, head: u64) -> u64 {
        block_of_head(head, self.load(TOP))
    }

    #[inline(always)] // as above
    fn mark(self, number: u64) -> Mark {
        let (block, bit) = (number / BLOCK, bit(number));
        for _ in 0..TRIES {
            let old = self.0.load(0);
            let (last, bits) = (self.last(old), old as u32);
            if block < last {
                return self.mark_behind(block, bit);
            }
            if block > last {
                self.raise(block);
                if self.0.swap(0, old, head(block, bit)) {
                    return if self.leave(last, bits) { Mark::Highest } else { Mark::Beaten };
                }
            } else if bits & bit != 0 {
                return Mark::Twice;
            } else if self.0.swap(0, old, old | u64::from(bit)) {
                return if bits > bit { Mark::Late } else { Mark::Highest };
            }
        }
        Mark::Beaten
    }

    /// A number of a block that is not the head any more.
    #[inline(always)] // as above
    fn mark_behind(self, block: u64, bit: u32) -> Mark {
        let at = place(block);
        for _ in 0..TRIES {
            let old = self.load(at);
            let held = block_of(old, block);
            let same = old != 0 && held == block;
            if same && old & u64::from(bit) != 0 {
                return Mark::Twice;
            }
            if old != 0 && held > block {
                return Mark::Gone;
            }
            if self.swap(at, old, if same { old | u64::from(bit) } else { word(block, bit) }) {
                if !same {
                    self.add(LOST, missing(old, block, self.base()));
                }
                return Mark::Late;
            }
        }
        Mark::Beaten
    }

    /// Puts a block that was the head to its place. Between the two, other CPUs may have taken it for one that nothing came of.
    #[inline(always)] // as above
    fn leave(self, block: u64, bits: u32) -> bool {
        let at = place(block);
        for _ in 0..TRIES {
            let old = self.load(at);
            let held = block_of(old, block);
            if old != 0 && held > block {
                // The one that has its place has settled it: these were not lost.
                self.add(LOST, u64::from(bits.count_ones()).wrapping_neg());
                return true;
            }
            let same = old != 0 && held == block;
            if self.swap(at, old, if same { old | u64::from(bits) } else { word(block, bits) }) {
                if same {
                    // What was late and new to them had been in the head.
                    let twice = u64::from((old as u32 & bits).count_ones());
                    self.add(DUPLICATE, twice);
                    self.add(LATE, twice.wrapping_neg());
                } else {
                    self.add(LOST, missing(old, block, self.base()));
                }
                return true;
            }
        }
        false
    }

    /// One more packet that speaks for a peer that began anew.
    #[inline(always)] // as above
    fn prove(self, low: u32) {
        let proof = self.load(PROOF);
        let before = if proof as u32 == low { proof >> 32 } else { 0 };
        let so_far = before.wrapping_add(1);
        if so_far < ENOUGH {
            self.store(PROOF, (so_far << 32) | u64::from(low.wrapping_add(1)));
            return self.doubt(DOUBT);
        }
        let old = self.0.load(0);
        let last = self.last(old);
        let number = anew(low, last);
        self.raise(number / BLOCK);
        // Who wins settles what was there.
        if self.0.swap(0, old, head(number / BLOCK, bit(number))) {
            let mut ring = [0; RING];
            for (at, held) in (FIRST..).zip(&mut ring) {
                *held = self.load(at);
            }
            self.add(LOST, open(&ring, last, old as u32, self.base()));
            self.store(BASE, number.wrapping_add(1));
            self.store(PROOF, 0);
            self.add(DEPTH, 1 << 32);
        }
    }

    /// What came speaks against it.
    #[inline(always)] // one load of a line that is at hand
    fn calm(self) {
        if self.load(PROOF) != 0 {
            self.store(PROOF, 0);
            self.doubt(0);
        }
    }

    /// Has the next packet look at the proof, or not.
    #[inline(always)] // as above
    fn doubt(self, doubt: u64) {
        for _ in 0..TRIES {
            let old = self.0.load(0);
            if old & DOUBT == doubt || self.0.swap(0, old, (old & !DOUBT) | doubt) {
                return;
            }
        }
    }

    #[inline(always)] // as above
    fn raise(self, block: u64) {
        let raised = block.wrapping_add(1);
        for _ in 0..TRIES {
            let top = self.load(TOP);
            if top >= raised || self.swap(TOP, top, raised) {
                return;
            }
        }
    }

    /// A late packet.
    #[inline(always)] // as above
    fn deepen(self, number: u64) {
        let old = self.0.load(0);
        let depth = highest(self.last(old), old as u32).wrapping_sub(number);
        for _ in 0..TRIES {
            let old = self.load(DEPTH);
            if u64::from(old as u32) >= depth || self.swap(DEPTH, old, (old >> 32 << 32) | depth) {
                return;
            }
        }
    }

    /// The first number.
    #[inline(always)] // one load
    fn base(self) -> u64 {
        self.load(BASE).wrapping_sub(1)
    }

    #[inline(always)] // one load
    fn load(self, at: usize) -> u64 {
        self.1.load(at)
    }

    #[inline(always)] // one store
    fn store(self, at: usize, value: u64) {
        self.1.store(at, value);
    }

    #[inline(always)] // one addition
    fn add(self, at: usize, more: u64) {
        if more != 0 {
            self.1.add(at, more);
        }
    }

    #[inline(always)] // one instruction
    fn swap(self, at: usize, old: u64, fresh: u64) -> bool {
        self.1.swap(at, old, fresh)
    }
}

/// The bit of a number in its block.
#[inline(always)] // one shift
const fn bit(number: u64) -> u32 {
    1 << (number % BLOCK)
}
