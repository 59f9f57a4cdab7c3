//! Counters in a flat array: a run for each CPU.

use super::mapped::Mapped;
use esp_common::Counter;
use std::sync::atomic::Ordering;

/// Words of a counter.
const WORDS: usize = size_of::<Counter>() / size_of::<u64>();

/// A mapped array of them.
#[derive(Debug)]
pub struct Flat {
    words: Mapped,
    of_a_cpu: u32,
}

impl Flat {
    /// So many counters of each CPU in `words`.
    #[must_use]
    pub const fn new(words: Mapped, of_a_cpu: u32) -> Self {
        Self { words, of_a_cpu }
    }

    /// Runs.
    #[must_use]
    pub fn cpus(&self) -> u32 {
        let counters = self.words.as_ref().len() / WORDS;
        u32::try_from(counters).unwrap_or(u32::MAX) / self.of_a_cpu
    }

    /// One counter, summed over CPUs.
    #[must_use]
    pub fn sum(&self, index: u32) -> Counter {
        let mut sum = Counter::default();
        for one in (0..self.cpus()).map(|cpu| self.of(cpu, index)) {
            sum.packets += one.packets;
            sum.bytes += one.bytes;
        }
        sum
    }

    /// One counter of one CPU.
    #[must_use]
    pub fn of(&self, cpu: u32, index: u32) -> Counter {
        let at = (cpu as usize * self.of_a_cpu as usize + index as usize) * WORDS;
        match self.words.as_ref().get(at..at + WORDS) {
            Some([packets, bytes]) => {
                Counter { packets: packets.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) }
            }
            _ => Counter::default(),
        }
    }
}
