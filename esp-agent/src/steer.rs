//! Which CPU decrypts which SA: pure.
//!
//! An SA gets the CPU that has least to do when it gets its place in the table, and keeps it. It moves for three reasons
//! only: the kernel's SA names a CPU of its own, its CPU is not to be used any more, or its CPU stays overloaded while another
//! one has time. Who moves it waits for a pause of its packets, so that none overtakes another.

#[cfg(test)]
mod tests;

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

/// Busy enough to be overloaded, in thousandths.
const BUSY: u32 = 900;
/// One that takes over has at least so much time.
const IDLE: u32 = 700;
/// Rounds that a CPU is overloaded before SAs leave it.
pub const PATIENCE: u32 = 5;
/// At most this part of its SAs leaves at once.
const SHARE: usize = 8;

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

    fn usable(&self) -> impl Iterator<Item = u32> + '_ {
        self.allowed.intersection(&self.online).copied()
    }

    fn is_settled(&self, seat: &Seat) -> bool {
        match seat.cpu {
            Some(cpu) => self.suits(seat.wish, cpu),
            None => self.choose(seat.wish).is_none(),
        }
    }

    fn suits(&self, wish: Wish, cpu: u32) -> bool {
        let may = self.allowed.contains(&cpu) && self.online.contains(&cpu);
        match wish {
            Wish::Own(own) if !self.allowed.is_empty() && self.online.contains(&own) => cpu == own,
            Wish::Own(_) | Wish::Any => may,
            Wish::None => false,
        }
    }

    fn choose(&self, wish: Wish) -> Option<u32> {
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
    fn coolest(&self) -> Option<u32> {
        let cool =
            |number: &u32| self.cpus.get(number).is_none_or(|cpu| cpu.hot == 0 && cpu.load.busy < IDLE);
        self.usable().filter(cool).min_by_key(|cpu| self.burden(*cpu))
    }

    /// SAs of CPUs that stay overloaded, if another one has time: some of each, others in each round.
    fn relief(&self) -> BTreeSet<FlowKey> {
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
