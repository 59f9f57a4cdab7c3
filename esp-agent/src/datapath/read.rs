//! Counters out of the maps, summed over CPUs, at the time of asking. Nothing is added up in the agent.

use super::{
    DatapathError,
    maps::{Maps, on},
    tunnels,
};
use aya::maps::{MapData, PerCpuHashMap, PerCpuValues};
use esp_common::{
    Action, Addr, Counter, Direction, FlowCounter, GuardKey, Hook, IfaceSlot, Reason, SeenKey, Settings,
    TUNNEL_DIRECTIONS, counter::reason_index, names,
};

/// One flow.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Where it was seen.
    pub key: SeenKey,
    /// What was seen, over all CPUs.
    pub seen: FlowCounter,
    /// It is in the table of known SAs.
    pub known: bool,
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
    let mut flows = Vec::new();
    for (map, known, name) in
        [(&maps.flows, true, names::MAP_FLOWS), (&maps.ghosts, false, names::MAP_GHOSTS)]
    {
        for (key, seen) in entries(map, name)? {
            let seen = seen.iter().fold(NOTHING, |sum, cpu| merge(&sum, cpu));
            flows.push(Flow { key, seen, known });
        }
    }
    Ok(flows)
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
                    let values = maps.reasons.get(&index, 0).map_err(on("read", names::MAP_REASONS))?;
                    let counter = sum(&values);
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
    Ok(hits.into_iter().map(|(key, values)| (key, sum(&values))).collect())
}

/// Totals of all tunnels, in and out.
///
/// Errors: a map cannot be read.
pub fn tunnels(maps: &Maps) -> Result<Vec<(String, Direction, Counter)>, DatapathError> {
    let mut totals = Vec::new();
    for (number, name) in tunnels::list(maps)? {
        for direction in Direction::ALL {
            let index = number * TUNNEL_DIRECTIONS + u32::from(direction.as_raw());
            let values = maps.tunnels.get(&index, 0).map_err(on("read", names::MAP_TUNNELS))?;
            totals.push((name.clone(), direction, sum(&values)));
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
    ];
    let mut lost = Vec::new();
    for (index, table) in tables {
        let values = maps.lost.get(&index, 0).map_err(on("read", names::MAP_LOST))?;
        lost.push((table, values.iter().sum()));
    }
    Ok(lost)
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

const NOTHING: FlowCounter =
    FlowCounter { packets: 0, bytes: 0, first_ns: 0, last_ns: 0, src: Addr::UNSPECIFIED };

/// Adds up two CPUs: the earlier first packet names the source.
fn merge(a: &FlowCounter, b: &FlowCounter) -> FlowCounter {
    let earlier = if b.packets > 0 && (a.packets == 0 || b.first_ns < a.first_ns) { b } else { a };
    FlowCounter {
        packets: a.packets + b.packets,
        bytes: a.bytes + b.bytes,
        first_ns: earlier.first_ns,
        last_ns: a.last_ns.max(b.last_ns),
        src: earlier.src,
    }
}

fn sum(values: &PerCpuValues<Counter>) -> Counter {
    values.iter().fold(Counter::default(), |sum, cpu| Counter {
        packets: sum.packets + cpu.packets,
        bytes: sum.bytes + cpu.bytes,
    })
}
