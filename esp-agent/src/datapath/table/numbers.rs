//! What sequence numbers tell of each slot, which the datapath changes word by word.

use super::Lines;
use esp_common::sequence::{BASE, DEPTH, DUPLICATE, LATE, LOST, MAX_JUMP, Numbers, OLD, Sight, WORDS};
use std::sync::atomic::{AtomicU64, Ordering};

impl Lines {
    /// The words of a slot's sequence numbers.
    #[must_use]
    pub fn sequence(&self, slot: u32) -> Numbers {
        let (head, rest) = self.sequence_words(slot);
        let mut numbers = Numbers {
            // First: a block that leaves it meanwhile is then found in both places, and not in none.
            head: head.map_or(0, |word| word.load(Ordering::Acquire)),
            rest: [0; WORDS],
        };
        for (value, word) in numbers.rest.iter_mut().zip(rest) {
            *value = word.load(Ordering::Relaxed);
        }
        numbers
    }

    /// Puts back what sequence numbers told of an SA.
    pub(super) fn put_sequence(&self, slot: u32, numbers: &Numbers) {
        let (head, rest) = self.sequence_words(slot);
        for (word, value) in rest.iter().zip(numbers.rest) {
            word.store(value, Ordering::Relaxed);
        }
        if let Some(head) = head {
            head.store(numbers.head, Ordering::Release);
        }
    }

    /// Adds what other words of an SA have told since they told `before`, when this slot began anew
    /// ([`Numbers::begun_anew`]), and what was lost between the two. Where no packet has come here the other words go on.
    pub(in crate::datapath) fn go_on(&self, slot: u32, other: &Numbers, before: &Sight) {
        let Some(told) = Sight::of(other) else { return };
        let (Some(head), rest) = self.sequence_words(slot) else { return };
        if head.load(Ordering::Acquire) == 0 {
            return self.put_sequence(slot, other);
        }
        let first = rest.get(BASE).map_or(0, |word| word.load(Ordering::Relaxed).wrapping_sub(1));
        let gap = (first as u32).wrapping_sub(told.highest as u32).wrapping_sub(1);
        // A peer that began anew between the two has lost none.
        let gap = Some(u64::from(gap)).filter(|gap| *gap < MAX_JUMP).unwrap_or_default();
        let lost = |sight: &Sight| sight.lost.wrapping_add(sight.missing);
        let more = [
            (LOST, lost(&told).wrapping_sub(lost(before)).wrapping_add(gap)),
            (LATE, told.late.wrapping_sub(before.late)),
            (DUPLICATE, told.duplicate.wrapping_sub(before.duplicate)),
            (OLD, told.old.wrapping_sub(before.old)),
            (DEPTH, u64::from(told.restarts.wrapping_sub(before.restarts)) << 32),
        ];
        for (at, more) in more {
            if let Some(word) = rest.get(at) {
                word.fetch_add(more, Ordering::Relaxed);
            }
        }
        let deeper = |old: u64| (told.depth > old as u32).then_some(old >> 32 << 32 | u64::from(told.depth));
        if let Some(word) = rest.get(DEPTH) {
            // An error says that it is as deep already.
            word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, deeper).unwrap_or_default();
        }
    }

    fn sequence_words(&self, slot: u32) -> (Option<&AtomicU64>, &[AtomicU64]) {
        let (slot, Some(shared)) = (slot as usize, &self.shared) else {
            return (None, &[]);
        };
        let rest = (*shared.sequences).as_ref().get(slot * WORDS..(slot + 1) * WORDS);
        ((*shared.heads).as_ref().get(slot), rest.unwrap_or_default())
    }
}
