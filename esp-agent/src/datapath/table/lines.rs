//! The lines of the table: key and counters of each slot on each CPU.

use super::{LINE, Words};
use esp_common::{
    FlowCounter, FlowKey, SaEntry, SaLine, SeenKey, Shape, Spi,
    lane::Lane,
    names,
    sequence::Numbers,
    table::{Bucket, claim, claimed, entry_of, meta, slot_of},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// One flow, summed over CPUs.
pub type Row = (SeenKey, FlowCounter);

/// Where an SA is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In this slot.
    Line(u32),
    /// In the stash, if anywhere.
    Stash,
    /// It is not there.
    Nowhere,
}

/// Words of a line, as [`SaLine`] has them.
const DST: usize = 0;
const LAST: usize = LINE - 1;
/// Where [`SaLine::meta`] and [`SaLine::claim`] are in the last word, which starts with the SPI.
const META: u32 = 32;
const CLAIM: u32 = 48;

const _: () = assert!(cfg!(target_endian = "little"), "the object is for bpfel alone");

/// What there is of each slot on all CPUs together.
#[derive(Clone)]
pub struct Shared {
    /// [`esp_common::names::MAP_HEADS`].
    pub heads: Words,
    /// [`esp_common::names::MAP_SEQUENCES`].
    pub sequences: Words,
    /// [`esp_common::names::MAP_LANES`].
    pub lanes: Words,
}

impl Shared {
    /// From whoever has the maps, by their names.
    ///
    /// # Errors
    /// The first of `map`.
    pub fn new<E>(map: impl Fn(&'static str) -> Result<Words, E>) -> Result<Self, E> {
        Ok(Self {
            heads: map(names::MAP_HEADS)?,
            sequences: map(names::MAP_SEQUENCES)?,
            lanes: map(names::MAP_LANES)?,
        })
    }
}

/// All lines.
#[derive(Clone)]
pub struct Lines {
    words: Words,
    /// Ghosts have none.
    pub(super) shared: Option<Shared>,
    first: u32,
    slots: u32,
    cpus: u32,
}

impl Lines {
    /// The lines of so many CPUs in `words`, and what is shared of each slot.
    #[must_use]
    pub fn new(words: Words, shared: Shared, cpus: u32) -> Self {
        Self { shared: Some(shared), ..Self::from(0, words, cpus) }
    }

    /// The lines behind a shape.
    #[must_use]
    pub fn behind_shape(words: Words, cpus: u32) -> Self {
        Self::from(1, words, cpus)
    }

    fn from(first: u32, words: Words, cpus: u32) -> Self {
        let lines = u32::try_from((*words).as_ref().len() / LINE).unwrap_or(u32::MAX);
        Self { words, shared: None, first, slots: lines.saturating_sub(first) / cpus.max(1), cpus }
    }

    /// Lines of each CPU.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// One line.
    #[must_use]
    pub fn get(&self, cpu: u32, slot: u32) -> SaLine {
        let mut line = [0; LINE];
        for (value, word) in line.iter_mut().zip(self.line(cpu, slot)) {
            *value = word.load(Ordering::Relaxed);
        }
        bytemuck::cast(line)
    }

    /// The SA of a slot.
    #[must_use]
    pub fn key(&self, slot: u32) -> Option<FlowKey> {
        Some(key(&self.get(0, slot))).filter(|key| !key.spi.is_zero())
    }

    /// The SAs that an index names. Those in the stash are not among them.
    pub fn named<'a>(&'a self, index: &'a [AtomicU64]) -> impl Iterator<Item = (FlowKey, SaEntry)> + 'a {
        self.slots_named(index).map(|(key, slot)| (key, entry_of(self.get(0, slot).meta)))
    }

    /// The same, and their slots.
    pub fn slots_named<'a>(&'a self, index: &'a [AtomicU64]) -> impl Iterator<Item = (FlowKey, u32)> + 'a {
        // The first element is the shape, the first word of each other the flags.
        let buckets = index.chunks_exact(LINE).skip(1);
        let entries =
            buckets.flat_map(|bucket| bucket.iter().skip(1)).map(|word| word.load(Ordering::Acquire));
        entries.filter(|entry| *entry != 0).filter_map(|entry| {
            let key = key(&self.get(0, (entry >> 32) as u32));
            slot_of(entry, &key).map(|slot| (key, slot))
        })
    }

    /// Where an index says that an SA is: the same steps as the datapath's.
    #[must_use]
    pub fn find(&self, index: &[AtomicU64], key: &FlowKey) -> Place {
        let mut buckets = index.chunks_exact(LINE);
        let mut shape = [0; LINE];
        for (value, word) in shape.iter_mut().zip(buckets.next().unwrap_or_default()) {
            *value = word.load(Ordering::Acquire);
        }
        let bucket = bytemuck::cast::<_, Shape>(shape).bucket(key) as usize;
        let Some([flags, entries @ ..]) = buckets.nth(bucket - 1) else {
            return Place::Nowhere;
        };
        for entry in entries {
            if let Some(slot) = slot_of(entry.load(Ordering::Acquire), key)
                && self.get(0, slot).is_of(key)
            {
                return Place::Line(slot);
            }
        }
        let overflow = flags.load(Ordering::Acquire) & Bucket::OVERFLOW != 0;
        if overflow { Place::Stash } else { Place::Nowhere }
    }

    /// What was counted of the SA in a slot: one flow, seldom more, on all CPUs together.
    #[must_use]
    pub fn rows(&self, slot: u32) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for cpu in 0..self.cpus {
            let last = self.line(cpu, slot).get(LAST).map_or(0, |word| word.load(Ordering::Acquire));
            if last >> CLAIM == 0 {
                continue;
            }
            let (key, seen) = row(&self.get(cpu, slot));
            match rows.iter_mut().find(|(other, _)| *other == key) {
                Some((_, sum)) => *sum = sum.merge(&seen),
                None => rows.push((key, seen)),
            }
        }
        rows
    }

    /// Gives a blank slot to an SA.
    pub(super) fn name(&self, slot: u32, key: &FlowKey, meta: u16) {
        let spi = u64::from(u32::from_ne_bytes(key.spi.wire()));
        let words =
            [(DST, key.dst.words()[0]), (DST + 1, key.dst.words()[1]), (LAST, spi | u64::from(meta) << META)];
        for cpu in 0..self.cpus {
            for (at, value) in words {
                self.store(cpu, slot, at, value);
            }
        }
    }

    /// Changes what is kept of an SA, whatever is counted meanwhile.
    pub(super) fn set_meta(&self, slot: u32, meta: u16) {
        for cpu in 0..self.cpus {
            self.mark(cpu, slot, meta);
        }
    }

    /// As [`Lines::set_meta`], on one CPU.
    pub(super) fn mark(&self, cpu: u32, slot: u32, meta: u16) {
        let Some(word) = self.line(cpu, slot).get(LAST) else { return };
        let fresh = |old: u64| (old & !(0xffff << META)) | u64::from(meta) << META;
        // The datapath stores the claim, two bytes of the same word: an exchange sees that and tries again.
        word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| Some(fresh(old))).unwrap_or_default();
    }

    /// Zeroes a slot, the first CPU last: while it has a key, the others may still hold counts.
    pub(super) fn blank(&self, slot: u32) {
        self.put_sequence(slot, &Numbers::default());
        self.put_lane(slot, Lane::HERE);
        for cpu in (0..self.cpus).rev() {
            for at in (0..LINE).rev() {
                self.store(cpu, slot, at, 0);
            }
        }
    }

    /// True when nothing is in a slot.
    pub(super) fn is_blank(&self, slot: u32) -> bool {
        (0..self.cpus).all(|cpu| self.line(cpu, slot).iter().all(|word| word.load(Ordering::Relaxed) == 0))
    }

    /// Puts counts into a slot that is named and unused, one flow to a CPU; what is left over.
    pub(super) fn put<'a>(&self, slot: u32, rows: &'a [Row]) -> &'a [Row] {
        let (fits, over) = rows.split_at(rows.len().min(self.cpus as usize));
        for (cpu, row) in (0..).zip(fits) {
            let named = self.get(cpu, slot);
            self.write(cpu, slot, &key(&named), &entry_of(named.meta), row);
        }
        over
    }

    /// Writes a line that nobody counts in.
    pub(in crate::datapath) fn write(
        &self,
        cpu: u32,
        slot: u32,
        of: &FlowKey,
        sa: &SaEntry,
        (flow, seen): &Row,
    ) {
        let line = SaLine {
            dst: of.dst,
            src: seen.src,
            packets: seen.packets,
            bytes: seen.bytes,
            first: (seen.first_ns >> SaLine::TIME_SHIFT) as u32,
            last: (seen.last_ns >> SaLine::TIME_SHIFT) as u32,
            spi: u32::from_ne_bytes(of.spi.wire()),
            meta: meta(sa),
            claim: claim(flow.iface, flow.direction),
        };
        for (at, value) in bytemuck::cast::<_, [u64; LINE]>(line).into_iter().enumerate() {
            self.store(cpu, slot, at, value);
        }
    }

    pub(super) fn line(&self, cpu: u32, slot: u32) -> &[AtomicU64] {
        let first = (self.first as usize + cpu as usize * self.slots as usize + slot as usize) * LINE;
        (*self.words).as_ref().get(first..first + LINE).unwrap_or_default()
    }

    fn store(&self, cpu: u32, slot: u32, at: usize, value: u64) {
        if let Some(word) = self.line(cpu, slot).get(at) {
            word.store(value, Ordering::Release);
        }
    }
}

/// The SA of a line; SPI 0 for none.
pub(super) fn key(line: &SaLine) -> FlowKey {
    FlowKey::new(line.dst, Spi::from_wire(line.spi.to_ne_bytes()))
}

fn row(line: &SaLine) -> Row {
    let (iface, direction) = claimed(line.claim);
    let key = SeenKey { dst: line.dst, spi: key(line).spi, direction, pad: 0, iface };
    let ns = |time: u32| u64::from(time) << SaLine::TIME_SHIFT;
    let seen = FlowCounter {
        packets: line.packets,
        bytes: line.bytes,
        first_ns: ns(line.first),
        last_ns: ns(line.last),
        src: line.src,
    };
    (key, seen)
}
