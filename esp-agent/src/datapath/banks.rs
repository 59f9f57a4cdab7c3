//! The arrays of rule sets: one bank of a table is in force, the other is written.

use super::{DatapathError, classifier::Compiled, mapped::Mapped};
use aya::maps::MapData;
use esp_common::{
    classifier::{BANK_WORDS, Lines, Words, judged},
    names,
};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of a bank.
const LINES: usize = size_of::<Lines>();
const WORDS: usize = size_of::<Words>();

/// Both maps. A bank is in the agent's memory only while it is read or written.
pub struct Banks {
    lines: MapData,
    words: MapData,
}

impl Banks {
    /// The maps of [`names::MAP_RULE_LINES`] and [`names::MAP_RULE_WORDS`].
    #[must_use]
    pub const fn new(lines: MapData, words: MapData) -> Self {
        Self { lines, words }
    }

    /// Writes a set into a bank, which no packet may know.
    ///
    /// # Errors
    /// The maps cannot be mapped.
    pub fn write(&mut self, bank: u32, set: &Compiled) -> Result<(), DatapathError> {
        store(&self.lines(bank)?, 0, bytemuck::cast_slice(&set.lines));
        let words = self.words(bank)?;
        store(&words, 0, &set.words);
        store(&words, BANK_WORDS as usize - set.tail.len(), &set.tail);
        Ok(())
    }

    /// Verdicts and policies of a bank: of the rules of each plane, in their order.
    ///
    /// # Errors
    /// The map cannot be mapped.
    pub fn verdicts(&self, bank: u32) -> Result<[Vec<(u8, u32)>; 2], DatapathError> {
        let words = self.words(bank)?;
        Ok([0, names::RULES as usize].map(|first| {
            let plane = words.as_ref().iter().skip(first).take(names::RULES as usize);
            plane.map(|word| word.load(Ordering::Relaxed)).take_while(|word| *word != 0).map(judged).collect()
        }))
    }

    fn lines(&self, bank: u32) -> Result<Mapped, DatapathError> {
        Mapped::part(&self.lines, names::MAP_RULE_LINES, bank as usize * LINES, LINES)
    }

    fn words(&self, bank: u32) -> Result<Mapped, DatapathError> {
        Mapped::part(&self.words, names::MAP_RULE_WORDS, bank as usize * WORDS, WORDS)
    }
}

fn store(to: &Mapped, first: usize, from: &[u64]) {
    let places: &[AtomicU64] = to.as_ref();
    for (place, word) in places.iter().skip(first).zip(from) {
        place.store(*word, Ordering::Relaxed);
    }
}
