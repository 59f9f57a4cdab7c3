//! Reads what the programs counted, summed over CPUs.

use super::Kernel;
use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{MapData, PerCpuArray, PerCpuHashMap, PerCpuValues},
};
use esp_agent::datapath::read::in_lines;
use esp_common::{
    Action, Addr, Counter, Direction, FlowCounter, FlowKey, Guard, GuardKey, Hook, Mode, Reason, SeenKey,
    TUNNEL_DIRECTIONS,
    counter::{hit_index, reason_index},
    names,
    sequence::Sight,
};
use std::{collections::HashMap, hash::Hash};

/// A flow, over all CPUs.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct SeenFlow {
    /// Packets and bytes.
    pub counter: Counter,
    /// The earliest first and the latest last time.
    pub span_ns: (u64, u64),
    /// The source that the earliest CPU noted.
    pub src: Option<Addr>,
}

impl Kernel {
    /// One reason of slot 0.
    ///
    /// Errors: the map cannot be read.
    pub fn reason(&self, hook: Hook, reason: Reason, action: Action) -> Result<Counter> {
        Ok(self.maps.reasons.sum(reason_index(0, hook, reason, action)))
    }

    /// All reasons that were counted on slot 0.
    ///
    /// Errors: the map cannot be read.
    pub fn reasons(&self) -> Result<Vec<(Hook, Reason, Action, Counter)>> {
        let mut found = Vec::new();
        for hook in Hook::ALL {
            for reason in Reason::ALL.iter().copied() {
                for action in Action::ALL {
                    let counter = self.reason(hook, reason, action)?;
                    if counter.packets > 0 {
                        found.push((hook, reason, action, counter));
                    }
                }
            }
        }
        Ok(found)
    }

    /// The flows of known SAs, or those that no SA has.
    ///
    /// Errors: the map cannot be read.
    pub fn flows(&self, known: bool) -> Result<HashMap<SeenKey, SeenFlow>> {
        if !known {
            return Ok(self.maps.ghosts.rows().into_iter().map(|(key, seen)| (key, flow(&seen))).collect());
        }
        let mut flows: HashMap<SeenKey, FlowCounter> = HashMap::new();
        let rows = self.rows();
        let beside = self.entries::<SeenKey, FlowCounter>(names::MAP_FLOWS)?.into_iter();
        let beside =
            beside.flat_map(|(key, values)| values.iter().map(|cpu| (key, *cpu)).collect::<Vec<_>>());
        for (key, seen) in rows.into_iter().chain(beside) {
            let sum = flows.entry(SeenKey { pad: 0, ..key }).or_insert(FlowCounter::NOTHING);
            *sum = sum.merge(&seen);
        }
        Ok(flows.into_iter().map(|(key, seen)| (key, flow(&seen))).collect())
    }

    /// What the lines of SAs have counted.
    pub fn rows(&self) -> Vec<(SeenKey, FlowCounter)> {
        in_lines(&self.maps.lines)
    }

    /// What the sequence numbers of an SA tell; `None` before its first packet.
    ///
    /// Errors: there is no such SA.
    pub fn sight(&mut self, key: &FlowKey) -> Result<Option<Sight>> {
        let slot = self.table.find(key, &self.maps.annex())?.context("no such SA")?;
        Ok(Sight::of(&self.maps.lines.sequence(slot)))
    }

    /// Guard hits.
    ///
    /// Errors: the map cannot be read.
    pub fn hits(&self) -> Result<HashMap<GuardKey, Counter>> {
        let hits = self.entries(names::MAP_GUARD_HITS)?;
        let mut hits: HashMap<_, _> = hits.into_iter().map(|(key, values)| (key, sum(&values))).collect();
        for guard in Guard::ALL {
            for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
                let counter = self.maps.hits.sum(hit_index(guard, mode));
                if counter.packets > 0 {
                    let key = GuardKey { policy: 0, guard: guard.as_raw(), mode: mode.as_raw(), pad: [0; 2] };
                    hits.insert(key, counter);
                }
            }
        }
        Ok(hits)
    }

    /// One direction of a tunnel.
    ///
    /// Errors: the map cannot be read.
    pub fn tunnel(&self, tunnel: u32, direction: Direction) -> Result<Counter> {
        Ok(self.maps.tunnels.sum(tunnel * TUNNEL_DIRECTIONS + u32::from(direction.as_raw())))
    }

    /// What could not be counted in its own place, by the index of its kind.
    ///
    /// Errors: the map cannot be read.
    pub fn lost(&self, index: u32) -> Result<u64> {
        let map = self.ebpf.map(names::MAP_LOST).context("no such map")?;
        Ok(PerCpuArray::<&MapData, u64>::try_from(map)?.get(&index, 0)?.iter().sum())
    }

    fn entries<K: Pod + Eq + Hash, V: Pod>(&self, map: &str) -> Result<Vec<(K, PerCpuValues<V>)>> {
        let map = self.ebpf.map(map).context("no such map")?;
        let entries = PerCpuHashMap::<&MapData, K, V>::try_from(map)?;
        Ok(entries.iter().collect::<Result<_, _>>()?)
    }
}

fn sum(values: &PerCpuValues<Counter>) -> Counter {
    let packets = values.iter().map(|cpu| cpu.packets).sum();
    Counter { packets, bytes: values.iter().map(|cpu| cpu.bytes).sum() }
}

fn flow(seen: &FlowCounter) -> SeenFlow {
    SeenFlow {
        counter: Counter { packets: seen.packets, bytes: seen.bytes },
        span_ns: (seen.first_ns, seen.last_ns),
        src: (seen.packets > 0).then_some(seen.src),
    }
}
