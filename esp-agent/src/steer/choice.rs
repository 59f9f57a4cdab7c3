//! Where an SA belongs, and who has too much to do.

use super::{Seat, Steering, Wish};
use esp_common::FlowKey;
use std::collections::BTreeSet;

/// Busy enough to be overloaded, in thousandths.
pub(super) const BUSY: u32 = 900;
/// One that takes over has at least so much time.
const IDLE: u32 = 700;
/// Rounds that a CPU is overloaded before SAs leave it.
pub const PATIENCE: u32 = 5;
/// At most this part of its SAs leaves at once.
const SHARE: usize = 8;

impl Steering {
    pub(super) fn usable(&self) -> impl Iterator<Item = u32> + '_ {
        self.allowed.intersection(&self.online).copied()
    }

    pub(super) fn is_settled(&self, seat: &Seat) -> bool {
        match seat.cpu {
            Some(cpu) => self.suits(seat.wish, cpu),
            None => self.choose(seat.wish).is_none(),
        }
    }

    pub(super) fn suits(&self, wish: Wish, cpu: u32) -> bool {
        let may = self.allowed.contains(&cpu) && self.online.contains(&cpu);
        match wish {
            Wish::Own(own) if !self.allowed.is_empty() && self.online.contains(&own) => cpu == own,
            Wish::Own(_) | Wish::Any => may,
            Wish::None => false,
        }
    }

    pub(super) fn choose(&self, wish: Wish) -> Option<u32> {
        match wish {
            Wish::None => None,
            Wish::Own(own) if !self.allowed.is_empty() && self.online.contains(&own) => Some(own),
            Wish::Own(_) | Wish::Any => self.usable().min_by_key(|cpu| self.burden(*cpu)),
        }
    }

    /// Packets of the last round and what new SAs will bring, at the mean of all; then SAs, then the number.
    fn burden(&self, number: u32) -> (u64, usize, u32) {
        let cpu = self.cpus.get(&number).copied().unwrap_or_default();
        let packets: u64 = self.cpus.values().map(|cpu| cpu.load.packets).sum();
        let mean = packets / (self.seats.len() as u64).max(1);
        (cpu.load.packets + cpu.fresh * mean, cpu.sas, number)
    }

    /// The CPU with least to do of those that have time.
    pub(super) fn coolest(&self) -> Option<u32> {
        let cool =
            |number: &u32| self.cpus.get(number).is_none_or(|cpu| cpu.hot == 0 && cpu.load.busy < IDLE);
        self.usable().filter(cool).min_by_key(|cpu| self.burden(*cpu))
    }

    /// SAs of CPUs that stay overloaded, if another one has time: some of each, others in each round.
    pub(super) fn relief(&self) -> BTreeSet<FlowKey> {
        let mut leaving = BTreeSet::new();
        if self.coolest().is_none() {
            return leaving;
        }
        for number in self.cpus.iter().filter(|(_, cpu)| cpu.hot >= PATIENCE).map(|(number, _)| *number) {
            let own = |seat: &Seat| seat.wish == Wish::Own(number);
            let mut here: Vec<_> =
                self.seats.iter().filter(|(_, seat)| seat.cpu == Some(number) && !own(seat)).collect();
            here.sort_by_key(|(_, seat)| seat.slot);
            let some = here.len().div_ceil(SHARE);
            let first = self.rounds.wrapping_mul(some) % here.len().max(1);
            here.rotate_left(first);
            // The last one would only be overloaded elsewhere.
            leaving.extend(here.iter().take(if here.len() > 1 { some } else { 0 }).map(|(key, _)| **key));
        }
        leaving
    }
}
