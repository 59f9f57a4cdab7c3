//! Which CPU decrypts which SA: pure.
//!
//! An SA gets the CPU that has least to do when it gets its place in the table, and keeps it. It moves for three reasons
//! only: the kernel's SA names a CPU of its own, its CPU is not to be used any more, or its CPU stays overloaded while another
//! one has time. Who moves it waits for a pause of its packets, so that none overtakes another.

mod astray;
mod choice;
#[cfg(test)]
mod tests;

pub use astray::Astray;
pub use choice::PATIENCE;

use choice::BUSY;
use esp_common::FlowKey;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What an SA asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wish {
    /// Nothing: none of its packets come in.
    #[default]
    None,
    /// Any CPU that may be used.
    Any,
    /// The one that the kernel's SA names (`XFRMA_SA_PCPU`, Linux 6.13).
    Own(u32),
}

/// What a CPU had to do since the round before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// Packets that were handed to it.
    pub packets: u64,
    /// Packets that its queue had no room for.
    pub refused: u64,
    /// Thousandths of the time that it was busy, whatever with.
    pub busy: u32,
}

/// An SA that should be decrypted elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// The SA.
    pub key: FlowKey,
    /// Its place in the table.
    pub slot: u32,
    /// Where it is; `None` is where it is received.
    pub from: Option<u32>,
    /// Where it should be.
    pub to: Option<u32>,
}

/// The CPUs and the SAs on them.
#[derive(Clone, Debug, Default)]
pub struct Steering {
    allowed: BTreeSet<u32>,
    online: BTreeSet<u32>,
    seats: HashMap<FlowKey, Seat>,
    cpus: BTreeMap<u32, Cpu>,
    rounds: usize,
}

#[derive(Clone, Copy, Debug)]
struct Seat {
    wish: Wish,
    slot: Option<u32>,
    cpu: Option<u32>,
}

/// What is known of a CPU.
#[derive(Clone, Copy, Debug, Default)]
struct Cpu {
    sas: usize,
    /// SAs that came since the round: what they bring is not in its load yet.
    fresh: u64,
    load: Load,
    /// Rounds in a row that it was overloaded.
    hot: u32,
}

impl Steering {
    /// Says which CPUs may be used and which run now. None: SAs go back to where they are received.
    pub fn allow(&mut self, allowed: BTreeSet<u32>, online: BTreeSet<u32>) {
        (self.allowed, self.online) = (allowed, online);
    }

    /// True while an SA has a CPU, or may get one.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.allowed.is_empty() || self.cpus.values().any(|cpu| cpu.sas > 0)
    }

    /// CPUs that need a queue: those that may be used, those that are, those that SAs ask for.
    #[must_use]
    pub fn needed(&self) -> BTreeSet<u32> {
        let used = self.cpus.iter().filter(|(_, cpu)| cpu.sas > 0).map(|(cpu, _)| *cpu);
        let own = self.seats.values().filter_map(|seat| match seat.wish {
            Wish::Own(cpu) if !self.allowed.is_empty() => Some(cpu),
            Wish::Own(_) | Wish::Any | Wish::None => None,
        });
        self.usable().chain(used).chain(own.filter(|cpu| self.online.contains(cpu))).collect()
    }

    /// Takes note of what an SA asks for. Without CPUs to use it is not remembered, unless it has one.
    pub fn wish(&mut self, key: FlowKey, wish: Wish) {
        match self.seats.get_mut(&key) {
            Some(seat) => seat.wish = wish,
            None if !self.allowed.is_empty() && wish != Wish::None => {
                self.seats.insert(key, Seat { wish, slot: None, cpu: None });
            }
            None => {}
        }
    }

    /// The CPU of an SA that gets a place in the table, which had one already when it was there before.
    pub fn seat(&mut self, key: &FlowKey, slot: u32, found: Option<u32>) -> Option<u32> {
        let seat = self.seats.get(key).copied()?;
        let kept = found.filter(|cpu| self.suits(seat.wish, *cpu));
        let cpu = kept.or_else(|| self.choose(seat.wish));
        self.put(*key, Seat { slot: Some(slot), cpu, ..seat });
        cpu
    }

    /// Takes over an SA as it is: packets of it may be on their way.
    pub fn adopt(&mut self, key: FlowKey, slot: u32, cpu: Option<u32>) {
        let wish = self.seats.get(&key).map_or(Wish::None, |seat| seat.wish);
        if cpu.is_some() || wish != Wish::None {
            self.put(key, Seat { wish, slot: Some(slot), cpu });
        }
    }

    /// True when an SA waits to be adopted.
    #[must_use]
    pub fn is_open(&self, key: &FlowKey) -> bool {
        self.seats.get(key).is_some_and(|seat| seat.slot.is_none())
    }

    /// True when an SA has its place here.
    #[must_use]
    pub fn knows(&self, key: &FlowKey) -> bool {
        self.seats.contains_key(key)
    }

    /// Forgets an SA.
    pub fn leave(&mut self, key: &FlowKey) {
        if let Some(Seat { cpu: Some(cpu), .. }) = self.seats.remove(key) {
            self.cpus.entry(cpu).or_default().sas -= 1;
        }
    }

    /// Takes over what CPUs had to do in this round.
    pub fn round(&mut self, loads: &BTreeMap<u32, Load>) {
        self.rounds = self.rounds.wrapping_add(1);
        let named: BTreeSet<u32> = self.usable().chain(loads.keys().copied()).collect();
        for number in named {
            let cpu = self.cpus.entry(number).or_default();
            cpu.load = loads.get(&number).copied().unwrap_or_default();
            cpu.fresh = 0;
            cpu.hot = if cpu.load.busy >= BUSY || cpu.load.refused > 0 { cpu.hot + 1 } else { 0 };
        }
    }

    /// At most `limit` SAs that should be elsewhere; others the next time.
    pub fn moves(&mut self, limit: usize) -> Vec<Move> {
        let relief = self.relief();
        let mut candidates: Vec<_> = self
            .seats
            .iter()
            .filter_map(|(key, seat)| Some((*key, *seat, seat.slot?)))
            .filter(|(key, seat, _)| !self.is_settled(seat) || relief.contains(key))
            .collect();
        candidates.sort_by_key(|(_, _, slot)| *slot);
        // Those that never pause must not keep the others from their turn.
        let first = self.rounds.wrapping_mul(limit) % candidates.len().max(1);
        candidates.rotate_left(first);
        let moves = candidates.into_iter().take(limit).map(|(key, seat, slot)| {
            let to = if relief.contains(&key) { self.coolest() } else { self.choose(seat.wish) };
            if let Some(cpu) = to {
                self.cpus.entry(cpu).or_default().fresh += 1;
            }
            Move { key, slot, from: seat.cpu, to }
        });
        moves.collect::<Vec<_>>().into_iter().filter(|step| step.from != step.to).collect()
    }

    /// Takes note that an SA has moved. Its old CPU is given time to show what that has brought.
    pub fn moved(&mut self, step: &Move) {
        let Some(seat) = self.seats.get(&step.key).copied().filter(|seat| seat.slot == Some(step.slot))
        else {
            return;
        };
        if let Some(cpu) = step.from.and_then(|cpu| self.cpus.get_mut(&cpu)) {
            cpu.hot = 0;
        }
        self.put(step.key, Seat { cpu: step.to, ..seat });
        if step.to.is_none() && self.allowed.is_empty() {
            self.seats.remove(&step.key);
        }
    }

    /// The place of an SA, for who watches it.
    #[must_use]
    pub fn cpu(&self, key: &FlowKey) -> Option<u32> {
        self.seats.get(key)?.cpu
    }

    fn put(&mut self, key: FlowKey, seat: Seat) {
        let before = self.seats.insert(key, seat).and_then(|seat| seat.cpu);
        if before == seat.cpu {
            return;
        }
        if let Some(cpu) = before {
            self.cpus.entry(cpu).or_default().sas -= 1;
        }
        if let Some(cpu) = seat.cpu {
            let cpu = self.cpus.entry(cpu).or_default();
            (cpu.sas, cpu.fresh) = (cpu.sas + 1, cpu.fresh + 1);
        }
    }
}
