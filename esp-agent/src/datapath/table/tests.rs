//! The table against an ordinary map, in memory: random edits, few buckets, kills, readers at work.

use super::*;
use crate::datapath::read::in_lines;
use esp_common::{
    Addr, FlowCounter, SaLine, SeenKey, Spi,
    lane::Lane,
    sequence::WORDS,
    table::{claim, slot_of},
};
use proptest::prelude::*;
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, atomic::AtomicBool},
};

const CPUS: u32 = 2;
const KEYS: u32 = 24;
/// Slots for SAs that are gone: few, so that they are soon given to others.
const SPARE: u32 = 2;

struct Memory(Vec<AtomicU64>);

impl AsRef<[AtomicU64]> for Memory {
    fn as_ref(&self) -> &[AtomicU64] {
        &self.0
    }
}

fn memory(lines: u32) -> Words {
    Arc::new(Memory((0..lines as usize * LINE).map(|_| AtomicU64::new(0)).collect()))
}

/// Lines of so many slots on so many CPUs.
fn lines(cpus: u32, slots: u32) -> Lines {
    Lines::new(
        memory(cpus * slots),
        Shared {
            heads: memory(slots.div_ceil(LINE as u32)),
            sequences: memory(slots * (WORDS / LINE) as u32),
            lanes: memory(slots.div_ceil(LINE as u32)),
        },
        cpus,
    )
}

/// What stands beside the table, and when it fails.
#[derive(Default)]
struct Fake {
    stash: Mutex<HashMap<FlowKey, u32>>,
    flows: BTreeMap<SeenKey, FlowCounter>,
    graces: Cell<u32>,
    /// Calls of `keep` until it fails, before or after it did its work.
    fails: Option<(u32, bool)>,
}

impl Annex for Fake {
    fn stash(&mut self, key: &FlowKey, slot: u32) -> Result<(), DatapathError> {
        assert!(self.stash.lock().unwrap().insert(*key, slot).is_none(), "stashed twice");
        Ok(())
    }

    fn unstash(&mut self, key: &FlowKey) -> Result<(), DatapathError> {
        assert!(self.stash.lock().unwrap().remove(key).is_some(), "it was not there");
        Ok(())
    }

    /// The SA's own number stands for a CPU: what is found must be it.
    fn lane(&mut self, key: &FlowKey, _: u32, found: Lane) -> Lane {
        let lane = Lane::of(key.spi.number());
        assert!([Lane::HERE, lane].contains(&found), "the slot of another SA");
        lane
    }

    fn stashed(&self) -> Result<Vec<(FlowKey, u32)>, DatapathError> {
        Ok(self.stash.lock().unwrap().iter().map(|(key, slot)| (*key, *slot)).collect())
    }

    fn keep(&mut self, rows: &[Row]) -> Result<(), DatapathError> {
        let fails = self.fails.as_mut().map(|(left, late)| {
            *left = left.saturating_sub(1);
            (*left == 0, *late)
        });
        if fails == Some((true, false)) {
            self.fails = None;
            return Err(DatapathError::NoObject);
        }
        self.flows.extend(rows.iter().copied());
        if fails == Some((true, true)) {
            self.fails = None;
            return Err(DatapathError::NoObject);
        }
        Ok(())
    }

    fn is_kept(&self, key: &SeenKey) -> Result<bool, DatapathError> {
        Ok(self.flows.contains_key(key))
    }

    fn grace(&self) {
        self.graces.set(self.graces.get() + 1);
    }
}

/// A table of `sas` SAs in `buckets` buckets.
struct World {
    index: Words,
    lines: Lines,
    sas: u32,
    annex: Fake,
}

impl World {
    fn new(buckets: u32, sas: u32) -> Self {
        Self { index: memory(buckets + 1), lines: lines(CPUS, sas + SPARE), sas, annex: Fake::default() }
    }

    fn open(&mut self) -> Table {
        Table::open(self.index.clone(), self.lines.clone(), self.sas, &mut self.annex).unwrap()
    }

    /// Counts as the datapath does. False when the packet has no SA.
    fn count(&mut self, table: &Table, key: &FlowKey, cpu: u32, iface: u16) -> bool {
        let Some(slot) = table.find(key, &self.annex).unwrap() else { return false };
        let mut told = table.lines.sequence(slot);
        let ours = u64::from(key.spi.number());
        for word in [&mut told.head, &mut told.rest[0]] {
            assert!(*word == 0 || *word == ours, "sequence numbers of another SA");
            *word = ours;
        }
        table.lines.put_sequence(slot, &told);
        let line = table.lines.get(cpu, slot);
        let (ours, seen) = (claim(iface, 0), seen(key, iface));
        if line.claim != 0 && line.claim != ours {
            let row = self.annex.flows.entry(seen).or_insert(FlowCounter::NOTHING);
            *row = row.merge(&FlowCounter { packets: 1, bytes: 100, ..FlowCounter::NOTHING });
            return true;
        }
        let line = SaLine { claim: ours, packets: line.packets + 1, bytes: line.bytes + 100, ..line };
        for (word, value) in self.lines.line(cpu, slot).iter().zip(bytemuck::cast::<_, [u64; LINE]>(line)) {
            word.store(value, Ordering::Relaxed);
        }
        true
    }

    fn counted(&self, table: &Table) -> BTreeMap<SeenKey, (u64, u64)> {
        let mut sums: BTreeMap<SeenKey, (u64, u64)> = BTreeMap::new();
        for (key, seen) in in_lines(&table.lines)
            .iter()
            .chain(self.annex.flows.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>().iter())
        {
            let sum = sums.entry(SeenKey { pad: 0, ..*key }).or_default();
            *sum = (sum.0 + seen.packets, sum.1 + seen.bytes);
        }
        sums
    }
}

fn seen(key: &FlowKey, iface: u16) -> SeenKey {
    SeenKey { dst: key.dst, spi: key.spi, direction: 0, pad: 0, iface }
}

/// Few SPIs at a few addresses of both families: many share their SPI.
fn key(number: u32) -> FlowKey {
    let dst = match number % 3 {
        0 => Addr::from_v4([10, 0, 0, 1]),
        1 => Addr::from_v4([10, 0, 0, 2]),
        _ => Addr::from_v6([0xfd; 16]),
    };
    FlowKey::new(dst, Spi::new(0x1000 + number / 3))
}

#[derive(Clone, Debug)]
enum Step {
    Set(u32, u32),
    Remove(u32),
    Count(u32, u32, u16),
    Forget(u32),
    Kill,
    /// The next but so many moves of counts fails, early or late, and the agent with it.
    Break(u32, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    prop_oneof![
        6 => (key.clone(), 0..4_u32).prop_map(|(key, tunnel)| Step::Set(key, tunnel)),
        4 => key.clone().prop_map(Step::Remove),
        8 => (key.clone(), 0..CPUS, 0..2_u16).prop_map(|(key, cpu, iface)| Step::Count(key, cpu, iface)),
        1 => key.prop_map(Step::Forget),
        1 => Just(Step::Kill),
        1 => (1..3_u32, any::<bool>()).prop_map(|(left, late)| Step::Break(left, late)),
    ]
}

#[derive(Default)]
struct Model {
    sas: BTreeMap<FlowKey, u32>,
    counts: BTreeMap<SeenKey, (u64, u64)>,
}

fn run(buckets: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = World::new(buckets, 12);
    let (mut table, mut model) = (world.open(), Model::default());
    for step in steps {
        take(step, &mut world, &mut table, &mut model)?;
        agrees(&world, &table, &model)?;
    }
    Ok(())
}

fn take(step: &Step, world: &mut World, table: &mut Table, model: &mut Model) -> Result<(), TestCaseError> {
    match *step {
        Step::Set(number, tunnel) => {
            let (key, sa) = (key(number), SaEntry { tunnel, flags: 0 });
            let fits = model.sas.contains_key(&key) || model.sas.len() < world.sas as usize;
            match table.set(&key, &sa, &mut world.annex) {
                Ok(done) => prop_assert_eq!(done, fits, "an SA without a place"),
                Err(_) => {
                    *table = world.open();
                    prop_assert!(table.set(&key, &sa, &mut world.annex).unwrap());
                }
            }
            if fits {
                model.sas.insert(key, tunnel);
            }
        }
        Step::Remove(number) => {
            table.remove(&key(number), &mut world.annex).unwrap();
            model.sas.remove(&key(number));
        }
        Step::Count(number, cpu, iface) => {
            let key = key(number);
            prop_assert_eq!(world.count(table, &key, cpu, iface), model.sas.contains_key(&key));
            if model.sas.contains_key(&key) {
                let sum = model.counts.entry(seen(&key, iface)).or_default();
                *sum = (sum.0 + 1, sum.1 + 100);
            }
        }
        Step::Forget(number) => {
            let key = key(number);
            table.forget(&[key], &mut world.annex);
            if !model.sas.contains_key(&key) {
                world.annex.flows.retain(|row, _| (row.dst, row.spi) != (key.dst, key.spi));
                model.counts.retain(|row, _| (row.dst, row.spi) != (key.dst, key.spi));
            }
        }
        Step::Kill => *table = world.open(),
        Step::Break(left, late) => world.annex.fails = Some((left, late)),
    }
    Ok(())
}

fn agrees(world: &World, table: &Table, model: &Model) -> Result<(), TestCaseError> {
    for key in (0..KEYS).map(key) {
        prop_assert_eq!(table.find(&key, &world.annex).unwrap().is_some(), model.sas.contains_key(&key));
        prop_assert_eq!(table.get(&key).map(|sa| sa.tunnel), model.sas.get(&key).copied());
    }
    let slots: BTreeSet<_> = table.held.values().map(|held| held.slot).collect();
    prop_assert_eq!(slots.len(), model.sas.len(), "two SAs in one slot");
    prop_assert_eq!(table.stashed() as usize, world.annex.stash.lock().unwrap().len());
    let mut counted = world.counted(table);
    counted.retain(|_, sum| sum.0 > 0);
    prop_assert_eq!(counted, model.counts.clone());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_a_map_and_counts_what_was_sent(
        buckets in prop_oneof![Just(1_u32), Just(2), Just(8)],
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(buckets, &steps)?;
    }
}

#[test]
fn all_sas_have_a_place_although_they_collide() {
    // One bucket: all keys meet in it.
    let mut world = World::new(1, 64);
    let mut table = world.open();
    for number in 0..64 {
        assert!(table.set(&key(number), &SaEntry::default(), &mut world.annex).unwrap());
    }
    assert!(!table.set(&key(64), &SaEntry::default(), &mut world.annex).unwrap(), "one more than asked for");
    assert_eq!(table.stashed(), 64 - ENTRIES as u32);
    for number in 0..64 {
        assert!(table.find(&key(number), &world.annex).unwrap().is_some());
    }
}

#[test]
fn few_sas_of_many_overflow_their_bucket() {
    let sas = 1 << 16;
    let mut annex = Fake::default();
    let mut table =
        Table::open(memory(Shape::elements(sas)), lines(1, Shape::slots_for(sas)), sas, &mut annex).unwrap();
    for number in 0..sas {
        // As random as SPIs are (a finaliser of MurmurHash3: no two are the same).
        let spi = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
        let spi = (spi ^ spi >> 13).wrapping_mul(0xc2b2_ae35).max(1);
        let key = FlowKey::new(Addr::from_v4([10, 0, 0, 1]), Spi::new(spi));
        assert!(table.set(&key, &SaEntry::default(), &mut annex).unwrap());
    }
    // With two keys to a bucket on average a bucket of seven leaves out 0.07 % of them (Poisson): 45.
    assert!((1..200).contains(&table.stashed()), "{}", table.stashed());
}

#[test]
fn no_slot_changes_hands_without_a_grace_period() {
    let mut world = World::new(8, 4);
    let mut table = world.open();
    let slots = 4 + SPARE;
    // Each SA comes and goes: the blank slots are used up first, then those that rest.
    for number in 0..slots {
        assert!(table.set(&key(number), &SaEntry::default(), &mut world.annex).unwrap());
        table.remove(&key(number), &mut world.annex).unwrap();
    }
    assert_eq!(world.annex.graces.get(), 0);
    assert!(table.set(&key(slots), &SaEntry::default(), &mut world.annex).unwrap());
    assert_eq!(world.annex.graces.get(), 1);
    for number in slots + 1..2 * slots - 1 {
        table.remove(&key(number - 1), &mut world.annex).unwrap();
        assert!(table.set(&key(number), &SaEntry::default(), &mut world.annex).unwrap());
    }
    assert_eq!(world.annex.graces.get(), 1, "one for all that rested");
}

#[test]
fn readers_never_miss_a_live_sa_while_others_come_and_go() {
    let mut world = World::new(2, 24);
    let mut table = world.open();
    let stay: Vec<_> = (0..8).map(key).collect();
    for key in &stay {
        assert!(table.set(key, &SaEntry::default(), &mut world.annex).unwrap());
    }
    // Where a reader finds them, by its own view of the same memory; those in the stash stay there.
    let (index, lines, shape) = (world.index.clone(), table.lines.clone(), table.shape);
    let stash = world.annex.stash.lock().unwrap().clone();
    let (done, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for key in &stay {
                    let first = shape.bucket(key) as usize * LINE;
                    let words = &(*index).as_ref()[first..first + LINE];
                    let slots =
                        words[1..].iter().filter_map(|word| slot_of(word.load(Ordering::Acquire), key));
                    let mut slots = slots.chain(stash.get(key).copied());
                    assert!(slots.any(|slot| lines.get(0, slot).is_of(key)), "{key:?} was missed");
                }
                seen.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut round = 0;
        while seen.load(Ordering::Relaxed) < 50 || round < 2_000 {
            let number = 8 + round % 16;
            assert!(
                table.set(&key(number), &SaEntry { tunnel: round % 7, flags: 0 }, &mut world.annex).unwrap()
            );
            table.remove(&key(8 + (round + 5) % 16), &mut world.annex).unwrap();
            round += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
}
