//! The table of SAs, edited in place so that no packet ever misses a live one.
//!
//! An SA's line is written on all CPUs before one store of eight bytes publishes it in its bucket; a bucket that is full
//! sends it to the stash, a hash map. An SA that is gone leaves the index at once, while its line stays: it shows what was
//! counted, goes on when the SA comes back, and is given to another SA only after a grace period of RCU, when no packet can
//! know it any more. What it had counted moves to the map of flows then.

mod adopt;
pub(super) mod annex;
mod lanes;
mod lines;
mod moving;
mod numbers;
#[cfg(test)]
mod tests;

pub(super) use adopt::shape;
pub use annex::{Annex, Beside};
pub use lines::{Lines, Place, Row, Shared};
pub(super) use moving::MOVES;

use super::DatapathError;
use esp_common::{
    FlowKey, SaEntry, Shape,
    table::{Bucket, ENTRIES, entry, meta},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The memory of a map, or of a test.
pub type Words = Arc<dyn AsRef<[AtomicU64]> + Send + Sync>;

/// Words of a bucket and of a line.
const LINE: usize = 8;

/// What the agent knows of the table.
pub struct Table {
    index: Words,
    lines: Lines,
    shape: Shape,
    limit: usize,
    held: HashMap<FlowKey, Held>,
    /// SAs in the stash, for each bucket that has some.
    stashed: HashMap<u32, u32>,
    /// Slots whose lines are blank, the lowest last.
    blank: Vec<u32>,
    retired: HashMap<FlowKey, Retired>,
    /// Retired since the last grace period, then before it; some have come back since.
    resting: VecDeque<(FlowKey, u64)>,
    rested: VecDeque<(FlowKey, u64)>,
    retirements: u64,
}

#[derive(Clone, Copy)]
struct Held {
    slot: u32,
    meta: u16,
    /// The word of its entry; `None` is in the stash.
    word: Option<usize>,
}

#[derive(Clone, Copy)]
struct Retired {
    slot: u32,
    number: u64,
}

impl Table {
    /// The SAs that are in the table.
    pub fn keys(&self) -> impl Iterator<Item = &FlowKey> {
        self.held.keys()
    }

    /// What is kept of an SA.
    #[must_use]
    pub fn get(&self, key: &FlowKey) -> Option<SaEntry> {
        self.held.get(key).map(|held| esp_common::table::entry_of(held.meta))
    }

    /// The place of an SA.
    #[must_use]
    pub fn slot(&self, key: &FlowKey) -> Option<u32> {
        self.held.get(key).map(|held| held.slot)
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// SAs that found no entry in their bucket.
    #[must_use]
    pub fn stashed(&self) -> u32 {
        self.stashed.values().sum()
    }

    /// Puts an SA in, or changes what is kept of it. False when the table holds as many as it may. SPI 0 is no SA.
    ///
    /// Errors: a map beside the table cannot be read or written.
    pub fn set(
        &mut self,
        key: &FlowKey,
        sa: &SaEntry,
        annex: &mut impl Annex,
    ) -> Result<bool, DatapathError> {
        let meta = meta(sa);
        if let Some(held) = self.held.get_mut(key) {
            if held.meta != meta {
                held.meta = meta;
                self.lines.set_meta(held.slot, meta);
            }
            return Ok(true);
        }
        if self.held.len() >= self.limit || key.spi.is_zero() {
            return Ok(false);
        }
        let slot = if let Some(back) = self.retired.remove(key) {
            self.lines.set_meta(back.slot, meta);
            back.slot
        } else {
            let Some(slot) = self.take(annex)? else {
                return Ok(false);
            };
            self.lines.name(slot, key, meta);
            slot
        };
        self.lines.put_lane(slot, annex.lane(key, slot, self.lines.lane(slot)));
        let word = self.publish(key, slot, annex)?;
        self.held.insert(*key, Held { slot, meta, word });
        Ok(true)
    }

    /// Takes an SA out; its counts stay.
    ///
    /// Errors: the stash cannot be written.
    pub fn remove(&mut self, key: &FlowKey, annex: &mut impl Annex) -> Result<(), DatapathError> {
        let Some(held) = self.held.get(key).copied() else {
            return Ok(());
        };
        match held.word {
            Some(word) => self.store(word, 0),
            None => self.unstash(key, annex)?,
        }
        self.held.remove(key);
        self.retire(*key, held.slot);
        Ok(())
    }

    /// Blanks the lines of SAs that are gone, for good.
    pub fn forget(&mut self, keys: &[FlowKey], annex: &mut impl Annex) {
        let gone: Vec<_> = keys.iter().filter_map(|key| self.retired.remove(key)).collect();
        if gone.is_empty() {
            return;
        }
        self.wait(annex);
        for Retired { slot, .. } in gone {
            self.lines.blank(slot);
            self.blank.push(slot);
        }
    }

    /// Where a packet finds the SA: the same steps as the datapath's.
    ///
    /// Errors: the stash cannot be read.
    pub fn find(&self, key: &FlowKey, annex: &impl Annex) -> Result<Option<u32>, DatapathError> {
        let slot = match self.lines.find(self.words(), key) {
            Place::Line(slot) => return Ok(Some(slot)),
            Place::Nowhere => return Ok(None),
            Place::Stash => {
                annex.stashed()?.into_iter().find(|(other, _)| other == key).map(|(_, slot)| slot)
            }
        };
        Ok(slot.filter(|slot| self.lines.get(0, *slot).is_of(key)))
    }

    fn publish(
        &mut self,
        key: &FlowKey,
        slot: u32,
        annex: &mut impl Annex,
    ) -> Result<Option<usize>, DatapathError> {
        let bucket = self.bucket(key);
        if let Some(word) = (bucket + 1..=bucket + ENTRIES).find(|word| self.load(*word) == 0) {
            self.store(word, entry(key, slot));
            return Ok(Some(word));
        }
        annex.stash(key, slot)?;
        *self.stashed.entry(self.shape.bucket(key)).or_default() += 1;
        self.store(bucket, Bucket::OVERFLOW);
        Ok(None)
    }

    fn unstash(&mut self, key: &FlowKey, annex: &mut impl Annex) -> Result<(), DatapathError> {
        annex.unstash(key)?;
        let bucket = self.shape.bucket(key);
        let left = self.stashed.get(&bucket).map_or(0, |count| count - 1);
        if left > 0 {
            self.stashed.insert(bucket, left);
        } else {
            self.stashed.remove(&bucket);
            self.store(self.bucket(key), 0);
        }
        Ok(())
    }

    fn retire(&mut self, key: FlowKey, slot: u32) {
        self.retirements += 1;
        self.retired.insert(key, Retired { slot, number: self.retirements });
        self.resting.push_back((key, self.retirements));
    }

    /// A slot for another SA: a blank one, else the one that was retired first.
    fn take(&mut self, annex: &mut impl Annex) -> Result<Option<u32>, DatapathError> {
        if let Some(slot) = self.blank.pop() {
            return Ok(Some(slot));
        }
        loop {
            if self.rested.is_empty() {
                self.wait(annex);
            }
            let Some((key, number)) = self.rested.pop_front() else {
                return Ok(None);
            };
            if self.retired.get(&key).is_some_and(|retired| retired.number == number)
                && let Some(Retired { slot, .. }) = self.retired.remove(&key)
            {
                self.give_up(slot, annex)?;
                return Ok(Some(slot));
            }
        }
    }

    /// Lets all packets end that may know a line of those retired so far.
    fn wait(&mut self, annex: &impl Annex) {
        if !self.resting.is_empty() {
            annex.grace();
            self.rested.append(&mut self.resting);
        }
    }

    /// The first word of a key's bucket.
    fn bucket(&self, key: &FlowKey) -> usize {
        self.shape.bucket(key) as usize * LINE
    }

    fn words(&self) -> &[AtomicU64] {
        (*self.index).as_ref()
    }

    fn load(&self, word: usize) -> u64 {
        self.words().get(word).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store(&self, word: usize, value: u64) {
        if let Some(word) = self.words().get(word) {
            // What was written before, the line above all, is seen by who sees this.
            word.store(value, Ordering::Release);
        }
    }
}
