//! Maps that were replaced: the programs of an earlier agent count in them until they are replaced too.

use super::{Flows, Lines, Row, summed};
use crate::datapath::{
    DatapathError, grace,
    maps::{Maps, on},
    read,
    table::annex::is_full,
};
use aya::maps::{MapError, PerCpuValues};
use esp_common::{FlowCounter, FlowKey, SeenKey, names, sequence::Sight};
use std::collections::HashMap;

/// What stays of them until then.
#[derive(Default)]
pub struct Replaced {
    pub(super) lines: Option<Lines>,
    pub(super) flows: Option<Flows>,
    /// What was counted when they were read.
    pub(super) moved: HashMap<SeenKey, FlowCounter>,
    /// What sequence numbers told then.
    pub(super) told: HashMap<FlowKey, Sight>,
}

impl Replaced {
    /// Takes note of what has moved over.
    pub(super) fn note(&mut self, rows: impl Iterator<Item = Row>) {
        add_up(&mut self.moved, rows);
    }

    /// Moves over what was counted in them since; no new packet may come to them any more. It is added in the map of flows,
    /// where nobody counts what a line counts; what sequence numbers told goes on in the new places. What was counted of ghosts
    /// is left out: their new places are in use.
    ///
    /// Errors: a map cannot be read or written.
    pub fn settle(self, maps: &mut Maps) -> Result<(), DatapathError> {
        if self.lines.is_none() && self.flows.is_none() {
            return Ok(());
        }
        grace::wait();
        let mut now = HashMap::new();
        add_up(&mut now, self.lines.iter().flat_map(read::in_lines));
        if let Some(flows) = &self.flows {
            let rows: Vec<_> =
                flows.iter().collect::<Result<_, _>>().map_err(on("read", names::MAP_FLOWS))?;
            add_up(&mut now, rows.iter().map(summed));
        }
        if let Some(lines) = &self.lines {
            self.go_on(lines, maps)?;
        }
        let late = now.into_iter().filter_map(|(key, seen)| Some((key, self.since(&key, seen)?)));
        late.collect::<Vec<_>>().into_iter().try_for_each(|row| add(maps, row))
    }

    fn go_on(&self, lines: &Lines, maps: &Maps) -> Result<(), DatapathError> {
        let (here, nothing) = (maps.lines(), Sight::default());
        for slot in 0..lines.slots() {
            if let Some(key) = lines.key(slot)
                && let Some(place) = read::slot(maps, &key)?
            {
                here.go_on(place, &lines.sequence(slot), self.told.get(&key).unwrap_or(&nothing));
            }
        }
        Ok(())
    }

    fn since(&self, key: &SeenKey, now: FlowCounter) -> Option<FlowCounter> {
        let before = self.moved.get(key).copied().unwrap_or(FlowCounter::NOTHING);
        let (packets, bytes) =
            (now.packets.checked_sub(before.packets)?, now.bytes.checked_sub(before.bytes)?);
        (packets > 0).then_some(FlowCounter { packets, bytes, ..now })
    }
}

fn add_up(sums: &mut HashMap<SeenKey, FlowCounter>, rows: impl Iterator<Item = Row>) {
    for (key, seen) in rows {
        let sum = sums.entry(key).or_insert(FlowCounter::NOTHING);
        *sum = sum.merge(&seen);
    }
}

/// Adds to a row on the first CPU. That of an SA that is seen in two places may be counted in at the same time, and lose a
/// packet.
fn add(maps: &mut Maps, (key, more): Row) -> Result<(), DatapathError> {
    let name = names::MAP_FLOWS;
    let mut values = match maps.flows.get(&key, 0) {
        Ok(values) => values.to_vec(),
        Err(MapError::KeyNotFound) => {
            let cpus =
                aya::util::nr_cpus().map_err(|(_, error)| on("write", name)(MapError::IoError(error)))?;
            vec![FlowCounter::NOTHING; cpus]
        }
        Err(source) => return Err(on("read", name)(source)),
    };
    values.iter_mut().take(1).for_each(|value| *value = value.merge(&more));
    let values =
        PerCpuValues::try_from(values).map_err(|error| on("write", name)(MapError::IoError(error)))?;
    match maps.flows.insert(key, values, 0) {
        Err(source) if !is_full(&source) => Err(on("write", name)(source)),
        Ok(()) | Err(_) => Ok(()),
    }
}
