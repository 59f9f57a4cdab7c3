//! An agent of another version takes over what an older one left attached: its maps have another layout, but its links
//! and its table of interfaces are as ours. No packet passes unseen between the two.

use super::{
    DatapathError,
    maps::{Maps, on, open},
    pins::{Pins, pin},
};
use aya::maps::{Array, MapData};
use esp_common::{ABI_VERSION, IfaceSlot, names};
use std::fs;

/// The oldest version whose links and table of interfaces are as ours.
const OLDEST: u32 = 1;

/// Pins of this instance by agents of older versions.
pub fn older(pins: &Pins) -> impl Iterator<Item = (u32, Pins)> {
    (OLDEST..ABI_VERSION)
        .filter_map(|version| Some((version, pins.of_version(version)?)))
        .filter(|(_, old)| old.exist())
}

/// The table of interfaces of an older version.
///
/// Errors: it cannot be read.
pub fn slots(old: &Pins) -> Result<Vec<IfaceSlot>, DatapathError> {
    let table: Array<MapData, IfaceSlot> = open(old, names::MAP_IFACES)?;
    table.iter().collect::<Result<_, _>>().map_err(on("read", names::MAP_IFACES))
}

/// Moves the links of older versions to `pins`, where the programs behind them are replaced as those of an earlier run
/// are, and takes the older maps away with their counts. The versions that were found.
///
/// Errors: a pin cannot be moved or removed, a table not read or written. A second call goes on where one has failed.
pub fn take_over(pins: &Pins, maps: &mut Maps) -> Result<Vec<u32>, DatapathError> {
    let mut found = Vec::new();
    for (version, old) in older(pins) {
        for (index, slot) in (0..).zip(slots(&old)?) {
            maps.ifaces.set(index, slot, 0).map_err(on("write", names::MAP_IFACES))?;
        }
        move_links(&old, pins)?;
        old.remove()?;
        found.push(version);
    }
    Ok(found)
}

fn move_links(old: &Pins, pins: &Pins) -> Result<(), DatapathError> {
    let dir = old.links();
    for entry in fs::read_dir(&dir).map_err(|source| pin("read", &dir, source))? {
        let entry = entry.map_err(|source| pin("read", &dir, source))?;
        let (from, to) = (entry.path(), pins.links().join(entry.file_name()));
        fs::rename(&from, &to).map_err(|source| pin("move", &from, source))?;
    }
    Ok(())
}
