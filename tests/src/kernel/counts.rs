//! Reads what the programs counted, summed over CPUs.

use super::Kernel;
use anyhow::{Context as _, Result};
use aya::{
    Pod,
    maps::{MapData, PerCpuArray, PerCpuHashMap, PerCpuValues},
};
use esp_common::{
    Action, Addr, Counter, Direction, FlowCounter, GuardKey, Hook, Reason, SeenKey, TUNNEL_DIRECTIONS,
    counter::reason_index, names,
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
        self.element(names::MAP_REASONS, reason_index(0, hook, reason, action))
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
        let map = if known { names::MAP_FLOWS } else { names::MAP_GHOSTS };
        let flows = self.entries::<SeenKey, FlowCounter>(map)?;
        Ok(flows.into_iter().map(|(key, values)| (key, flow(&values))).collect())
    }

    /// Guard hits.
    ///
    /// Errors: the map cannot be read.
    pub fn hits(&self) -> Result<HashMap<GuardKey, Counter>> {
        let hits = self.entries(names::MAP_GUARD_HITS)?;
        Ok(hits.into_iter().map(|(key, values)| (key, sum(&values))).collect())
    }

    /// One direction of a tunnel.
    ///
    /// Errors: the map cannot be read.
    pub fn tunnel(&self, tunnel: u32, direction: Direction) -> Result<Counter> {
        self.element(names::MAP_TUNNELS, tunnel * TUNNEL_DIRECTIONS + u32::from(direction.as_raw()))
    }

    /// What could not be counted in its own place, by the index of its kind.
    ///
    /// Errors: the map cannot be read.
    pub fn lost(&self, index: u32) -> Result<u64> {
        let map = self.ebpf.map(names::MAP_LOST).context("no such map")?;
        Ok(PerCpuArray::<&MapData, u64>::try_from(map)?.get(&index, 0)?.iter().sum())
    }

    fn element(&self, map: &str, index: u32) -> Result<Counter> {
        let map = self.ebpf.map(map).context("no such map")?;
        Ok(sum(&PerCpuArray::<&MapData, Counter>::try_from(map)?.get(&index, 0)?))
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

fn flow(values: &PerCpuValues<FlowCounter>) -> SeenFlow {
    let seen = || values.iter().filter(|cpu| cpu.packets > 0);
    let first = seen().min_by_key(|cpu| cpu.first_ns);
    let packets = seen().map(|cpu| cpu.packets).sum();
    SeenFlow {
        counter: Counter { packets, bytes: seen().map(|cpu| cpu.bytes).sum() },
        span_ns: (first.map_or(0, |cpu| cpu.first_ns), seen().map(|cpu| cpu.last_ns).max().unwrap_or(0)),
        src: first.map(|cpu| cpu.src),
    }
}
