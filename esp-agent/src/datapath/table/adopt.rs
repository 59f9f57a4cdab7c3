//! A table as an earlier agent left it, at whatever moment it was killed; or a new one.

use super::{Annex, ENTRIES, Held, LINE, Lines, Row, Table, Words, lines, moving};
use crate::datapath::DatapathError;
use esp_common::{
    FlowKey, SaEntry, Shape,
    lane::Lane,
    sequence::Numbers,
    table::{Bucket, meta},
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::atomic::{AtomicU64, Ordering},
};

impl Table {
    /// Takes over index and lines for at most `limit` SAs.
    ///
    /// Errors: a map beside the table cannot be read or written.
    pub fn open(
        index: Words,
        lines: Lines,
        limit: u32,
        annex: &mut impl Annex,
    ) -> Result<Self, DatapathError> {
        let buckets = u32::try_from((*index).as_ref().len() / LINE).unwrap_or(u32::MAX).saturating_sub(1);
        let shape = shape((*index).as_ref(), buckets.saturating_sub(1), lines.slots());
        let mut table = Self {
            index,
            lines,
            shape,
            limit: limit as usize,
            held: HashMap::new(),
            stashed: HashMap::new(),
            blank: Vec::new(),
            retired: HashMap::new(),
            resting: VecDeque::new(),
            rested: VecDeque::new(),
            retirements: 0,
        };
        table.adopt_entries();
        table.adopt_stash(annex)?;
        table.even();
        table.adopt_slots(annex)?;
        Ok(table)
    }

    /// Puts back what was counted of an SA in a table of another size, what its sequence numbers told, and its CPU.
    ///
    /// Errors: a map beside the table cannot be written.
    pub fn restore(
        &mut self,
        key: &FlowKey,
        rows: &[Row],
        numbers: &Numbers,
        lane: Lane,
        annex: &mut impl Annex,
    ) -> Result<(), DatapathError> {
        let Some(slot) = self.blank.pop() else {
            return moving::keep(rows, annex);
        };
        self.lines.put_sequence(slot, numbers);
        self.lines.put_lane(slot, lane);
        self.lines.name(slot, key, meta(&SaEntry::default()));
        moving::keep(self.lines.put(slot, rows), annex)?;
        self.retire(*key, slot);
        Ok(())
    }

    fn adopt_entries(&mut self) {
        for word in (LINE..self.words().len()).filter(|word| word % LINE != 0) {
            let entry = self.load(word);
            if entry == 0 {
                continue;
            }
            let slot = (entry >> 32) as u32;
            let line = self.lines.get(0, slot);
            let key = lines::key(&line);
            if line.spi != entry as u32
                || self.bucket(&key) != word / LINE * LINE
                || self.held.contains_key(&key)
            {
                self.store(word, 0);
                continue;
            }
            self.held.insert(key, Held { slot, meta: line.meta, word: Some(word) });
        }
    }

    fn adopt_stash(&mut self, annex: &mut impl Annex) -> Result<(), DatapathError> {
        for (key, slot) in annex.stashed()? {
            let line = self.lines.get(0, slot);
            if !line.is_of(&key) || self.held.contains_key(&key) {
                annex.unstash(&key)?;
                continue;
            }
            self.held.insert(key, Held { slot, meta: line.meta, word: None });
            *self.stashed.entry(self.shape.bucket(&key)).or_default() += 1;
        }
        for bucket in 1..=self.shape.mask + 1 {
            let flags = if self.stashed.contains_key(&bucket) { Bucket::OVERFLOW } else { 0 };
            self.store(bucket as usize * LINE, flags);
        }
        Ok(())
    }

    fn adopt_slots(&mut self, annex: &mut impl Annex) -> Result<(), DatapathError> {
        let held: HashSet<u32> = self.held.values().map(|held| held.slot).collect();
        for slot in (0..self.lines.slots()).rev().filter(|slot| !held.contains(slot)) {
            let key = lines::key(&self.lines.get(0, slot));
            if self.is_moving(slot) {
                self.finish(slot, annex)?;
            } else if key.spi.is_zero() && !self.lines.is_blank(slot) {
                self.lines.blank(slot);
            }
            if self.lines.is_blank(slot) {
                self.blank.push(slot);
            } else if self.held.contains_key(&key) || self.retired.contains_key(&key) {
                self.give_up(slot, annex)?;
                self.blank.push(slot);
            } else {
                self.retire(key, slot);
            }
        }
        Ok(())
    }
}

const _: () = assert!(ENTRIES + 1 == LINE);

/// The shape that is there, or a new one with random keys.
pub(in crate::datapath) fn shape(words: &[AtomicU64], mask: u32, slots: u32) -> Shape {
    let mut there = [0; LINE];
    for (value, word) in there.iter_mut().zip(words) {
        *value = word.load(Ordering::Acquire);
    }
    let there: Shape = bytemuck::cast(there);
    if there.slots == slots && there.mask == mask {
        return there;
    }
    let mut bytes = [0; size_of::<[u64; 6]>()];
    getrandom::fill(&mut bytes).expect("the kernel has random bytes once it has booted");
    let fresh = Shape { keys: bytemuck::cast(bytes), mask, slots, moves: 0 };
    for (word, value) in words.iter().zip(bytemuck::cast::<_, [u64; LINE]>(fresh)) {
        word.store(value, Ordering::Release);
    }
    fresh
}
