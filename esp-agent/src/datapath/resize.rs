//! A pinned map of another size is made anew; its counts move over.
//!
//! The loader would keep the old one without a word (aya 0.14 ignores a changed size when it finds a pin).

mod replaced;

pub use replaced::Replaced;

use super::{
    DatapathError, cpus, fill,
    ghosts::Ghosts,
    load,
    mapped::Mapped,
    maps::{Maps, map, on, shared},
    pins::{Pins, pin},
    table::{Beside, Lines, Row},
};
use crate::config::Sizes;
use crate::steer::Steering;
use aya::maps::{Map, MapData, MapInfo, PerCpuHashMap, PerCpuValues};
use esp_common::{
    FlowCounter, FlowKey, SeenKey,
    lane::Lane,
    names,
    sequence::{Numbers, Sight},
};
use std::{collections::HashMap, sync::Arc};

/// Counts that were taken out of maps which are made anew.
pub(super) struct Saved {
    replaced: Replaced,
    flows: Vec<PerCpuRow>,
    sas: HashMap<FlowKey, SavedSa>,
    ghosts: Vec<Row>,
}

/// What is kept of an SA.
struct SavedSa {
    rows: Vec<Row>,
    numbers: Numbers,
    lane: Lane,
}

type PerCpuRow = (SeenKey, PerCpuValues<FlowCounter>);
type Flows = PerCpuHashMap<MapData, SeenKey, FlowCounter>;

/// The parts of the table of SAs: one of another size makes all of them anew.
const TABLE: [&str; 6] = [
    names::MAP_SA_INDEX,
    names::MAP_SA_LINES,
    names::MAP_HEADS,
    names::MAP_SEQUENCES,
    names::MAP_LANES,
    names::MAP_SAS,
];

/// Unpins maps of another size and keeps their counts. What the agent fills needs no keeping.
pub(super) fn save(pins: &Pins, sizes: &Sizes) -> Result<Saved, DatapathError> {
    let mut saved =
        Saved { replaced: Replaced::default(), flows: Vec::new(), sas: HashMap::new(), ghosts: Vec::new() };
    let sizes = load::of_maps(sizes, cpus::count()?);
    let mut other = Vec::new();
    for (name, size) in sizes {
        if is_other(pins, name, size)? {
            other.push(name);
        }
    }
    if TABLE.iter().any(|name| other.contains(name)) {
        saved.replaced.lines = lines(pins)?;
        saved.sas = saved.replaced.lines.as_ref().map(sas).unwrap_or_default();
        other.extend(TABLE);
    }
    for name in other {
        let path = pins.map(name);
        if !path.exists() {
            continue;
        }
        if name == names::MAP_FLOWS {
            let flows = flows(pins)?;
            saved.flows = flows.iter().collect::<Result<_, _>>().map_err(on("read", name))?;
            saved.replaced.flows = Some(flows);
        }
        if name == names::MAP_GHOSTS {
            let map = MapData::from_pin(&path).map_err(on("open", name))?;
            let ghosts = Ghosts::new(Arc::new(Mapped::of(&map, name)?), cpus::count()?);
            saved.ghosts = ghosts.rows().into_iter().collect();
        }
        std::fs::remove_file(&path).map_err(|source| pin("remove", &path, source))?;
    }
    Ok(saved)
}

/// Puts them back. What the smaller of two sizes cannot hold is dropped, oldest map order first.
pub(super) fn restore(pins: &Pins, saved: Saved) -> Result<Replaced, DatapathError> {
    let mut replaced = saved.replaced;
    replaced.note(saved.sas.values().flat_map(|sa| sa.rows.iter().copied()));
    replaced.note(saved.flows.iter().map(summed));
    replaced.told = saved.sas.iter().filter_map(|(key, sa)| Some((*key, Sight::of(&sa.numbers)?))).collect();
    let name = names::MAP_FLOWS;
    if !saved.flows.is_empty() {
        let mut map = flows(pins)?;
        let room = MapInfo::from_pin(pins.map(name)).map_err(on("look at", name))?.max_entries() as usize;
        for (key, values) in saved.flows.into_iter().rev().take(room) {
            map.insert(key, values, 0).map_err(on("write", name))?;
        }
    }
    if saved.sas.is_empty() && saved.ghosts.is_empty() {
        return Ok(replaced);
    }
    let mut maps = Maps::open(pins)?;
    maps.ghosts.restore(saved.ghosts);
    restore_sas(&mut maps, saved.sas)?;
    Ok(replaced)
}

fn restore_sas(maps: &mut Maps, saved: HashMap<FlowKey, SavedSa>) -> Result<(), DatapathError> {
    let mut table = fill::table(maps)?;
    let Maps { sas, flows, .. } = maps;
    let mut annex = Beside { sas, flows, steering: &mut Steering::default() };
    // Packets go on in the replaced maps until the programs are replaced too.
    saved
        .iter()
        .try_for_each(|(key, sa)| table.restore(key, &sa.rows, &sa.numbers.begun_anew(), sa.lane, &mut annex))
}

/// A map that is not there although others of the instance are was lost on the way to another size.
fn is_other(pins: &Pins, name: &'static str, size: u32) -> Result<bool, DatapathError> {
    let path = pins.map(name);
    if !path.exists() {
        return Ok(pins.exist());
    }
    Ok(MapInfo::from_pin(&path).map_err(on("look at", name))?.max_entries() != size)
}

/// The lines. A table of another layout, or one that lacks a part, holds nothing that could be kept.
fn lines(pins: &Pins) -> Result<Option<Lines>, DatapathError> {
    if !TABLE.iter().all(|name| pins.map(name).exists()) {
        return Ok(None);
    }
    Ok(Some(Lines::new(Arc::new(map(pins, names::MAP_SA_LINES)?), shared(pins)?, cpus::count()?)))
}

/// What they hold.
fn sas(lines: &Lines) -> HashMap<FlowKey, SavedSa> {
    let mut saved: HashMap<FlowKey, SavedSa> = HashMap::new();
    for slot in 0..lines.slots() {
        let (rows, lane) = (lines.rows(slot), lines.lane(slot).seen());
        // One that no packet came of yet has its CPU all the same.
        let key = lines.key(slot).filter(|_| rows.is_empty() && lane != Lane::HERE);
        for key in rows.iter().map(|row| FlowKey::new(row.0.dst, row.0.spi)).chain(key) {
            let fresh = || SavedSa { rows: Vec::new(), numbers: lines.sequence(slot), lane };
            saved.entry(key).or_insert_with(fresh);
        }
        for row in rows {
            let key = FlowKey::new(row.0.dst, row.0.spi);
            saved.entry(key).and_modify(|sa| sa.rows.push(row));
        }
    }
    saved
}

fn summed((key, values): &PerCpuRow) -> Row {
    (SeenKey { pad: 0, ..*key }, values.iter().fold(FlowCounter::NOTHING, |sum, value| sum.merge(value)))
}

fn flows(pins: &Pins) -> Result<Flows, DatapathError> {
    let name = names::MAP_FLOWS;
    let map = MapData::from_pin(pins.map(name)).and_then(Map::from_map_data);
    map.and_then(PerCpuHashMap::try_from).map_err(on("open", name))
}
