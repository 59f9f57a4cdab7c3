//! Flows that no SA has: a table of fixed size on each CPU.

use super::{
    read::in_lines,
    table::{Lines, Row, Words, shape},
};
use esp_common::{FlowCounter, FlowKey, SaEntry, SeenKey, Shape, table::WAYS};
use std::collections::HashMap;

/// The table.
pub struct Ghosts {
    words: Words,
    lines: Lines,
    cpus: u32,
}

impl Ghosts {
    /// The table of so many CPUs in `words`.
    #[must_use]
    pub fn new(words: Words, cpus: u32) -> Self {
        let lines = Lines::behind_shape(words.clone(), cpus);
        Self { words, lines, cpus }
    }

    /// Gives a new table its shape, with random keys.
    pub fn prepare(&self) {
        self.shape();
    }

    /// All flows, summed over CPUs.
    #[must_use]
    pub fn rows(&self) -> HashMap<SeenKey, FlowCounter> {
        let mut rows = HashMap::new();
        for (key, seen) in in_lines(&self.lines) {
            let sum = rows.entry(key).or_insert(FlowCounter::NOTHING);
            *sum = sum.merge(&seen);
        }
        rows
    }

    /// Puts flows into a table that nobody counts in yet; what finds no room among its like is left out.
    pub fn restore(&self, rows: impl IntoIterator<Item = Row>) {
        let shape = self.shape();
        for (key, seen) in rows {
            let flow = FlowKey::new(key.dst, key.spi);
            let first = shape.ghost(0, &flow) - 1;
            let mut places =
                (0..self.cpus).flat_map(|cpu| (first..first + WAYS).map(move |slot| (cpu, slot)));
            if let Some((cpu, slot)) = places.find(|(cpu, slot)| self.lines.get(*cpu, *slot).claim == 0) {
                self.lines.write(cpu, slot, &flow, &SaEntry::default(), &(key, seen));
            }
        }
    }

    fn shape(&self) -> Shape {
        let sets = self.lines.slots() / WAYS;
        shape((*self.words).as_ref(), sets.saturating_sub(1), self.lines.slots())
    }
}
