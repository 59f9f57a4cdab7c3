//! What the sequence numbers of an SA tell without its keys: lost, late, duplicate, and how large a replay window would
//! have been enough.
//!
//! RX queues may spread an SA over CPUs, so all of them share what is remembered. Every change is a compare-and-swap of one
//! word, and each word stands for itself: what two CPUs do at once comes out as if one had come after the other.

use crate::Words;
use esp_common::sequence::{
    BASE, BLOCK, DEPTH, DUPLICATE, FIRST, LATE, LOST, OLD, PROOF, RING, TOP, anew, block_of, extended,
    highest, missing, open, word,
};

/// Numbers that may be skipped at once. With more, or with numbers from before the ring, the peer may have begun anew.
const MAX_JUMP: u64 = 1 << 20;
/// Packets in a row, each with the next number, that prove it. RFC 3550 appendix A.1 asks for two; a path that doubles
/// packets, or a few that are played back, must not look like it.
const ENOUGH: u64 = 4;
/// A swap fails when another CPU's went through: more often in a row than this it happens on no machine.
const TRIES: usize = 8;

/// What is known of an SA.
#[derive(Clone, Copy)]
pub struct Sequence<W>(pub W);

/// Where a block is.
#[inline(always)] // two instructions
const fn place(block: u64) -> usize {
    FIRST.wrapping_add(block as usize % RING)
}

/// What became of a number in the ring.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// These of its block had come before it.
    New(u32),
    Set,
    /// The ring has gone on.
    Gone,
    /// Other CPUs were always first.
    Beaten,
}

impl<W: Words> Sequence<W> {
    /// Takes note of a number that is the highest so far and of the block of the one before: most are, and one swap is all that
    /// they take. False when it is another, or another CPU was faster: nothing has happened, and [`Sequence::see`] takes note.
    #[inline(always)] // a few instructions on the way of each packet
    pub fn next(self, low: u32) -> bool {
        let top = self.load(TOP);
        let last = top.wrapping_sub(1);
        let ahead = u64::from(low.wrapping_sub(last.wrapping_mul(BLOCK) as u32));
        if top == 0 || ahead >= BLOCK {
            return false;
        }
        let at = place(last);
        let old = self.load(at);
        // No word at all is that of a block 0, which is never the last one: numbers start in the first epoch.
        let same = (old >> 32) as u32 == last as u32 && old != 0;
        same && u64::from(old as u32) >> ahead == 0
            && self.load(PROOF) == 0
            && self.swap(at, old, old | 1 << ahead)
    }

    /// Takes note of a number as it is on the wire. False when it could not: it will seem lost.
    #[inline(always)] // the verifier follows the words
    pub fn see(self, low: u32) -> bool {
        let top = self.load(TOP);
        if top == 0 {
            return self.begin(low);
        }
        let last = top.wrapping_sub(1);
        // Of an extended number only the lower half is on the wire (RFC 4303 section 2.2.1): it is the nearest one.
        let near = last.wrapping_mul(BLOCK);
        let ahead = i64::from(low.wrapping_sub(near as u32) as i32);
        if ahead > MAX_JUMP as i64 {
            self.prove(low, last);
            return true;
        }
        let number = near.wrapping_add(ahead as u64);
        let block = number / BLOCK;
        match self.mark(number) {
            Mark::New(before) => {
                self.calm();
                let above = u64::from(before) >> (number % BLOCK) > 1;
                if block > last {
                    self.raise(block);
                } else if block < last || above {
                    self.late(number, last);
                }
            }
            // Another CPU has its double, and has not raised the last block yet.
            Mark::Set if block > last => self.add(DUPLICATE, 1),
            Mark::Set => {
                self.add(DUPLICATE, 1);
                self.prove(low, last);
            }
            Mark::Gone => {
                self.add(OLD, 1);
                self.prove(low, last);
            }
            Mark::Beaten => return false,
        }
        true
    }

    /// The first packet. Of two CPUs that have one, either may name the first number.
    #[inline(always)] // as above
    fn begin(self, low: u32) -> bool {
        let number = extended(low);
        self.swap(BASE, 0, number.wrapping_add(1));
        let marked = self.mark(number);
        self.raise(number / BLOCK);
        marked != Mark::Beaten
    }

    #[inline(always)] // as above
    fn mark(self, number: u64) -> Mark {
        let (block, bit) = (number / BLOCK, 1 << (number % BLOCK));
        let at = place(block);
        for _ in 0..TRIES {
            let old = self.load(at);
            let held = block_of(old, block);
            let same = old != 0 && held == block;
            if same && old & bit != 0 {
                return Mark::Set;
            }
            if old != 0 && held > block {
                return Mark::Gone;
            }
            let fresh = if same { old | bit } else { word(block, bit as u32) };
            if self.swap(at, old, fresh) {
                if same {
                    return Mark::New(old as u32);
                }
                self.add(LOST, missing(old, block, self.load(BASE).wrapping_sub(1)));
                return Mark::New(0);
            }
        }
        Mark::Beaten
    }

    /// A packet behind the highest number.
    #[inline(always)] // as above
    fn late(self, number: u64, last: u64) {
        self.add(LATE, 1);
        self.deepen(highest(self.load(place(last)), last).wrapping_sub(number));
    }

    /// One more packet that speaks for a peer that began anew.
    #[inline(always)] // as above
    fn prove(self, low: u32, last: u64) {
        let proof = self.load(PROOF);
        let before = if proof as u32 == low { proof >> 32 } else { 0 };
        let so_far = before.wrapping_add(1);
        if so_far < ENOUGH {
            return self.store(PROOF, (so_far << 32) | u64::from(low.wrapping_add(1)));
        }
        let number = anew(low, last);
        // Who wins settles what was there.
        if self.swap(TOP, last.wrapping_add(1), (number / BLOCK).wrapping_add(1)) {
            let mut ring = [0; RING];
            for (at, held) in (FIRST..).zip(&mut ring) {
                *held = self.load(at);
            }
            let highest = highest(self.load(place(last)), last);
            self.add(LOST, open(&ring, highest, self.load(BASE).wrapping_sub(1)));
            self.store(BASE, number.wrapping_add(1));
            self.store(PROOF, 0);
            self.add(DEPTH, 1 << 32);
            self.mark(number);
        }
    }

    /// What came speaks against it.
    #[inline(always)] // one load of a line that is at hand
    fn calm(self) {
        if self.load(PROOF) != 0 {
            self.store(PROOF, 0);
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

    #[inline(always)] // as above
    fn deepen(self, depth: u64) {
        for _ in 0..TRIES {
            let old = self.load(DEPTH);
            if u64::from(old as u32) >= depth || self.swap(DEPTH, old, (old >> 32 << 32) | depth) {
                return;
            }
        }
    }

    #[inline(always)] // one load
    fn load(self, at: usize) -> u64 {
        self.0.load(at)
    }

    #[inline(always)] // one store
    fn store(self, at: usize, value: u64) {
        self.0.store(at, value);
    }

    #[inline(always)] // one addition
    fn add(self, at: usize, more: u64) {
        if more != 0 {
            self.0.add(at, more);
        }
    }

    #[inline(always)] // one instruction
    fn swap(self, at: usize, old: u64, fresh: u64) -> bool {
        self.0.swap(at, old, fresh)
    }
}
