//! Counters out of the maps, summed over CPUs, at the time of asking. Nothing is added up in the agent.

use super::{
    DatapathError,
    maps::{Maps, on},
    queues::Passed,
    table::{Lines, Place, Row},
    tunnels,
};
use aya::maps::{MapData, PerCpuHashMap, PerCpuValues};
use esp_common::{
    Action, Counter, Direction, FlowCounter, FlowKey, Guard, GuardKey, Hook, IfaceSlot, Mode, Reason,
    SaEntry, SeenKey, Settings, TUNNEL_DIRECTIONS,
    counter::{hit_index, reason_index},
    names,
    sequence::Sight,
    table::entry_of,
};
use std::collections::{BTreeMap, HashMap};

/// One flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Where it was seen.
    pub key: SeenKey,
    /// What was seen, over all CPUs.
    pub seen: FlowCounter,
    /// It is in the table of known SAs.
    pub known: bool,
    /// What the sequence numbers of its SA tell; one flow of each SA has it.
    pub sequence: Option<Sight>,
}

/// One reason at one hook of one interface.
#[derive(Clone, Copy, Debug)]
pub struct ReasonCount {
    /// Slot of the interface.
    pub slot: u32,
    /// Hook.
    pub hook: Hook,
    /// Reason.
    pub reason: Reason,
    /// Action.
    pub action: Action,
    /// Packets and bytes.
    pub counter: Counter,
}

/// All flows, known ones first.
///
/// Errors: a map cannot be read.
pub fn flows(maps: &Maps) -> Result<Vec<Flow>, DatapathError> {
    let mut flows = known(maps)?;
    let ghosts = maps.ghosts.rows().into_iter();
    flows.extend(ghosts.map(|(key, seen)| Flow { key, seen, known: false, sequence: None }));
    Ok(flows)
}

/// Readings of lines and rows together, until counts moved between them in none of them.
const READINGS: u32 = 8;

fn known(maps: &Maps) -> Result<Vec<Flow>, DatapathError> {
    let mut flows = Vec::new();
    for _ in 0..READINGS {
        let before = maps.moves();
        flows = of_sas(&maps.lines());
        join(&mut flows, entries(&maps.flows, names::MAP_FLOWS)?);
        if before.is_multiple_of(2) && maps.moves() == before {
            break;
        }
    }
    Ok(flows)
}

/// What the lines of SAs have counted; the first flow of each has what its sequence numbers tell.
fn of_sas(lines: &Lines) -> Vec<Flow> {
    let mut flows = Vec::new();
    for slot in 0..lines.slots() {
        let mut rows = lines.rows(slot).into_iter();
        let Some((key, seen)) = rows.next() else { continue };
        flows.push(Flow { key, seen, known: true, sequence: Sight::of(&lines.sequence(slot)) });
        flows.extend(rows.map(|(key, seen)| Flow { key, seen, known: true, sequence: None }));
    }
    flows
}

/// What lines have counted.
#[must_use]
pub fn in_lines(lines: &Lines) -> Vec<Row> {
    (0..lines.slots()).flat_map(|slot| lines.rows(slot)).collect()
}

/// Adds what the map of flows has; rows of one flow become one.
fn join(flows: &mut Vec<Flow>, entries: Vec<(SeenKey, PerCpuValues<FlowCounter>)>) {
    let mut more: HashMap<SeenKey, FlowCounter> = HashMap::new();
    for (key, values) in entries {
        let sum = more.entry(SeenKey { pad: 0, ..key }).or_insert(FlowCounter::NOTHING);
        *sum = sum.merge(&merged(&values));
    }
    if !more.is_empty() {
        for flow in flows.iter_mut() {
            if let Some(sum) = more.remove(&flow.key) {
                flow.seen = flow.seen.merge(&sum);
            }
        }
    }
    flows.extend(more.into_iter().map(|(key, seen)| Flow { key, seen, known: true, sequence: None }));
}

/// The SAs that the datapath knows.
///
/// Errors: a map cannot be read.
pub fn sas(maps: &Maps) -> Result<BTreeMap<FlowKey, SaEntry>, DatapathError> {
    let lines = maps.lines();
    let mut sas: BTreeMap<_, _> = lines.named((*maps.sa_index).as_ref()).collect();
    for row in maps.sas.iter() {
        let (key, slot) = row.map_err(on("read", names::MAP_SAS))?;
        sas.insert(key, entry_of(lines.get(0, slot).meta));
    }
    Ok(sas)
}

/// One SA of them.
///
/// Errors: a map cannot be read.
pub fn sa(maps: &Maps, key: &FlowKey) -> Result<Option<SaEntry>, DatapathError> {
    Ok(slot(maps, key)?.map(|slot| entry_of(maps.lines().get(0, slot).meta)))
}

/// The place of one SA.
///
/// Errors: a map cannot be read.
pub fn slot(maps: &Maps, key: &FlowKey) -> Result<Option<u32>, DatapathError> {
    match maps.lines().find((*maps.sa_index).as_ref(), key) {
        Place::Line(slot) => Ok(Some(slot)),
        Place::Nowhere => Ok(None),
        Place::Stash => match maps.sas.get(key, 0) {
            Ok(slot) => Ok(Some(slot)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(on("read", names::MAP_SAS)(source)),
        },
    }
}

/// A CPU that packets are handed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CpuRow {
    /// Its number.
    pub cpu: u32,
    /// Packets that one of its two queues holds.
    pub queue: u32,
    /// SAs that it decrypts. Those in the stash are not among them.
    pub sas: u64,
    /// What went through its queues.
    pub passed: Passed,
    /// Packets in its queues: at most as many as are in all of them.
    pub waiting: u64,
}

/// All CPUs that packets are handed to.
///
/// Errors: a map cannot be read.
pub fn cpus(maps: &Maps) -> Result<Vec<CpuRow>, DatapathError> {
    let list = maps.queues.list()?;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let (lines, mut sas) = (maps.lines(), HashMap::new());
    for (_, slot) in lines.slots_named((*maps.sa_index).as_ref()) {
        *sas.entry(lines.lane(slot).cpu()).or_default() += 1_u64;
    }
    let passed = maps.queues.passed()?;
    let all = passed.values().flatten().map(Passed::open).sum::<i64>().max(0);
    let row = |(cpu, queue)| {
        let [plain, frags] = passed.get(&cpu).copied().unwrap_or_default();
        let (sas, passed) = (sas.get(&Some(cpu)).copied().unwrap_or_default(), plain + frags);
        CpuRow { cpu, queue, sas, passed, waiting: passed.open().clamp(0, all).unsigned_abs() }
    };
    Ok(list.into_iter().map(row).collect())
}

/// All reasons that were counted.
///
/// Errors: a map cannot be read.
pub fn reasons(maps: &Maps) -> Result<Vec<ReasonCount>, DatapathError> {
    let mut counts = Vec::new();
    for (slot, _) in slots(maps)? {
        for hook in Hook::ALL {
            for reason in Reason::ALL.iter().copied() {
                for action in Action::ALL {
                    let index = reason_index(slot, hook, reason, action);
                    let counter = maps.reasons.sum(index);
                    if counter.packets > 0 {
                        counts.push(ReasonCount { slot, hook, reason, action, counter });
                    }
                }
            }
        }
    }
    Ok(counts)
}

/// Hits of all guards.
///
/// Errors: a map cannot be read.
pub fn guard_hits(maps: &Maps) -> Result<Vec<(GuardKey, Counter)>, DatapathError> {
    let hits = entries(&maps.guard_hits, names::MAP_GUARD_HITS)?;
    let mut hits: Vec<_> = hits.into_iter().map(|(key, values)| (key, sum(&values))).collect();
    for guard in Guard::ALL {
        for mode in [Mode::Observe, Mode::Enforce] {
            let counter = maps.hits.sum(hit_index(guard, mode));
            if counter.packets > 0 {
                let key = GuardKey { policy: 0, guard: guard.as_raw(), mode: mode.as_raw(), pad: [0; 2] };
                hits.push((key, counter));
            }
        }
    }
    Ok(hits)
}

/// Totals of all tunnels, in and out.
///
/// Errors: a map cannot be read.
pub fn tunnels(maps: &Maps) -> Result<Vec<(String, Direction, Counter)>, DatapathError> {
    let mut totals = Vec::new();
    for (number, name) in tunnels::list(maps)? {
        for direction in Direction::ALL {
            let index = number * TUNNEL_DIRECTIONS + u32::from(direction.as_raw());
            totals.push((name.clone(), direction, maps.tunnels.sum(index)));
        }
    }
    Ok(totals)
}

/// The mirror of xfrm_stat.
///
/// Errors: the map cannot be read.
pub fn xfrm_stat(maps: &Maps) -> Result<Vec<(String, u64)>, DatapathError> {
    let rows = maps.xfrm_stat.iter().map(|row| row.map(|(name, value)| (name.as_str().to_owned(), value)));
    let mut rows: Vec<_> = rows.collect::<Result<_, _>>().map_err(on("read", names::MAP_XFRM_STAT))?;
    rows.sort();
    Ok(rows)
}

/// Packets that found no room in their own table.
///
/// Errors: the map cannot be read.
pub fn lost(maps: &Maps) -> Result<Vec<(&'static str, u64)>, DatapathError> {
    let tables = [
        (names::LOST_FLOWS, "flows"),
        (names::LOST_GHOSTS, "ghosts"),
        (names::LOST_GUARD_HITS, "guard_hits"),
        (names::LOST_SEQUENCES, "sequences"),
        (names::LOST_SAMPLES, "samples"),
    ];
    tables.into_iter().map(|(index, table)| Ok((table, lost_in(maps, index)?))).collect()
}

/// One of [`names::LOST_FLOWS`] and its like.
///
/// Errors: the map cannot be read.
pub fn lost_in(maps: &Maps, index: u32) -> Result<u64, DatapathError> {
    Ok(maps.lost.get(&index, 0).map_err(on("read", names::MAP_LOST))?.iter().sum())
}

/// Interfaces that have a slot.
///
/// Errors: the map cannot be read.
pub fn slots(maps: &Maps) -> Result<Vec<(u32, IfaceSlot)>, DatapathError> {
    let mut slots = Vec::new();
    for (index, slot) in (0..).zip(maps.ifaces.iter()) {
        let slot = slot.map_err(on("read", names::MAP_IFACES))?;
        if !slot.name().is_empty() {
            slots.push((index, slot));
        }
    }
    Ok(slots)
}

/// The settings in force.
///
/// Errors: the map cannot be read.
pub fn settings(maps: &Maps) -> Result<Settings, DatapathError> {
    maps.settings.get(&0, 0).map_err(on("read", names::MAP_SETTINGS))
}

/// All entries of a map that changes while it is read. An entry that goes meanwhile is left out; the kernel then starts
/// the walk anew (`BPF_MAP_GET_NEXT_KEY` of a key that is gone), so what comes twice is taken once.
fn entries<K, V>(
    map: &PerCpuHashMap<MapData, K, V>,
    name: &'static str,
) -> Result<Vec<(K, PerCpuValues<V>)>, DatapathError>
where
    K: aya::Pod + Eq + std::hash::Hash,
    V: aya::Pod,
{
    let mut seen = std::collections::HashSet::new();
    let mut found = Vec::new();
    for key in map.keys().take(WALK_LIMIT) {
        let key = key.map_err(on("read", name))?;
        if !seen.insert(key) {
            continue;
        }
        match map.get(&key, 0) {
            Ok(values) => found.push((key, values)),
            Err(aya::maps::MapError::KeyNotFound) => {}
            Err(source) => return Err(on("read", name)(source)),
        }
    }
    Ok(found)
}

/// Steps of one walk: four times the largest table that a configuration may ask for.
const WALK_LIMIT: usize = 4 << 20;

fn merged(values: &PerCpuValues<FlowCounter>) -> FlowCounter {
    values.iter().fold(FlowCounter::NOTHING, |sum, cpu| sum.merge(cpu))
}

fn sum(values: &PerCpuValues<Counter>) -> Counter {
    values.iter().fold(Counter::default(), |sum, cpu| Counter {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
    })
}
