//! Token buckets: how many packets of an SA, of a peer and of nobody may come.
//!
//! Each is one word, the time at which the next packet would be due if all came evenly (GCRA, ITU-T I.371 annex A): a packet
//! that is ahead of it by more than a burst is over budget. The rate is exact in the long run whatever the tick of the clock,
//! because the word moves by the interval of the budget and not by the clock.

use crate::Words;

/// As with sequence numbers: another CPU's swap went through.
const TRIES: usize = 4;

/// Takes a packet out of the budget in word `at`. False when it has none left. `now_ns` is never 0.
#[inline(always)] // the verifier follows the words
pub fn spend<W: Words>(words: W, at: usize, interval_ns: u32, burst_ns: u32, now_ns: u64) -> bool {
    for _ in 0..TRIES {
        let due = words.load(at);
        let from = if due > now_ns { due } else { now_ns };
        if from.wrapping_sub(now_ns) > u64::from(burst_ns) {
            return false;
        }
        if words.swap(at, due, from.wrapping_add(u64::from(interval_ns))) {
            return true;
        }
    }
    true
}
