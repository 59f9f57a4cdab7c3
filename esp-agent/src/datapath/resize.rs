//! A pinned map of another size is made anew; its counts move over.
//!
//! The loader would keep the old one without a word (aya 0.14 ignores a changed size when it finds a pin).

use super::{
    DatapathError, load,
    maps::on,
    pins::{Pins, pin},
};
use crate::config::Sizes;
use aya::maps::{Map, MapData, MapInfo, PerCpuHashMap, PerCpuValues};
use esp_common::{FlowCounter, SeenKey, names};

/// Counts that were taken out of maps which are made anew.
pub(super) type Saved = Vec<(&'static str, Vec<(SeenKey, PerCpuValues<FlowCounter>)>)>;

/// Unpins maps of another size and keeps their counts. The table of SAs is the agent's to fill: it needs no keeping.
pub(super) fn save(pins: &Pins, sizes: &Sizes) -> Result<Saved, DatapathError> {
    let mut saved = Vec::new();
    for (name, size) in load::of_maps(sizes) {
        let path = pins.map(name);
        if !path.exists() {
            continue;
        }
        let info = MapInfo::from_pin(&path).map_err(on("look at", name))?;
        if info.max_entries() == size {
            continue;
        }
        if name == names::MAP_FLOWS || name == names::MAP_GHOSTS {
            let counts = flows(pins, name)?.iter().collect::<Result<_, _>>().map_err(on("read", name))?;
            saved.push((name, counts));
        }
        std::fs::remove_file(&path).map_err(|source| pin("remove", &path, source))?;
    }
    Ok(saved)
}

/// Puts them back. What the smaller of two sizes cannot hold is dropped, oldest map order first.
pub(super) fn restore(pins: &Pins, saved: Saved) -> Result<(), DatapathError> {
    for (name, counts) in saved {
        let mut map = flows(pins, name)?;
        let room = MapInfo::from_pin(pins.map(name)).map_err(on("look at", name))?.max_entries() as usize;
        for (key, values) in counts.into_iter().rev().take(room) {
            map.insert(key, values, 0).map_err(on("write", name))?;
        }
    }
    Ok(())
}

fn flows(
    pins: &Pins,
    name: &'static str,
) -> Result<PerCpuHashMap<MapData, SeenKey, FlowCounter>, DatapathError> {
    let map = MapData::from_pin(pins.map(name)).and_then(Map::from_map_data);
    map.and_then(PerCpuHashMap::try_from).map_err(on("open", name))
}
