//! The CPU of each slot, which the datapath reads, and changes when it is watched.

use super::Lines;
use esp_common::lane::Lane;
use std::sync::atomic::{AtomicU64, Ordering};

impl Lines {
    /// The CPU of a slot.
    #[must_use]
    pub fn lane(&self, slot: u32) -> Lane {
        Lane::from_raw(self.lane_word(slot).map_or(0, |word| word.load(Ordering::Acquire)))
    }

    /// Gives a slot a CPU: no packet can know the slot, or its SA was there before and is not published yet.
    pub fn put_lane(&self, slot: u32, lane: Lane) {
        if let Some(word) = self.lane_word(slot) {
            word.store(lane.as_raw(), Ordering::Release);
        }
    }

    /// Has the next packet of a slot leave a trace.
    pub fn watch(&self, slot: u32, lane: Lane) -> bool {
        self.swap(slot, lane, lane.watched())
    }

    /// Gives a slot that was watched another CPU, if no packet came since.
    pub fn settle(&self, slot: u32, from: Lane, to: Lane) -> bool {
        self.swap(slot, from.watched(), to)
    }

    /// Takes a watch back.
    pub fn calm(&self, slot: u32) -> Lane {
        let seen = |word| Some(Lane::from_raw(word).seen().as_raw());
        let before =
            self.lane_word(slot).map(|word| word.fetch_update(Ordering::AcqRel, Ordering::Acquire, seen));
        before.map_or(Lane::HERE, |word| Lane::from_raw(word.unwrap_or_else(|word| word)).seen())
    }

    fn swap(&self, slot: u32, old: Lane, fresh: Lane) -> bool {
        let (old, fresh) = (old.as_raw(), fresh.as_raw());
        let swapped =
            |word: &AtomicU64| word.compare_exchange(old, fresh, Ordering::AcqRel, Ordering::Acquire);
        self.lane_word(slot).is_some_and(|word| swapped(word).is_ok())
    }

    fn lane_word(&self, slot: u32) -> Option<&AtomicU64> {
        (*self.shared.as_ref()?.lanes).as_ref().get(slot as usize)
    }
}
