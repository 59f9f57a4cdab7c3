//! A map of another size is made anew, and no count is lost.

use anyhow::Result;
use aya::maps::{MapData, MapInfo, PerCpuHashMap, PerCpuValues};
use esp_agent::{
    config::Sizes,
    datapath::{load, maps::Maps, pins::Pins},
};
use esp_common::{FlowCounter, SeenKey, Spi, names};
use esp_tests::{
    netns::Netns,
    world::{PEER, US, addr},
};
use std::collections::BTreeMap;

const SIZES: Sizes = Sizes { sas: 16, flows: 64, ghosts: 256 };
/// Flows that are counted before the change.
const FLOWS: u32 = 40;

fn with_pins(work: impl FnOnce(&Pins) -> Result<()> + Send) -> Result<()> {
    Netns::new("resize")?.run_in(|| work(&Pins::new("/sys/fs/bpf/esp-agent/v1/test")))
}

type Flows = PerCpuHashMap<MapData, SeenKey, FlowCounter>;

/// Each CPU counts something else.
fn count(map: &mut Flows, flows: u32) -> Result<()> {
    for spi in 1..=flows {
        let key = SeenKey { dst: addr(US), spi: Spi::new(spi), direction: 0, pad: 0, iface: 0 };
        let counter = |cpu: u64| FlowCounter {
            packets: u64::from(spi) + cpu,
            bytes: 100 * u64::from(spi) + cpu,
            first_ns: 5,
            last_ns: 7 + cpu,
            src: addr(PEER),
        };
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
        map.insert(key, PerCpuValues::try_from((0..cpus as u64).map(counter).collect::<Vec<_>>())?, 0)?;
    }
    Ok(())
}

fn counts(map: &Flows) -> Result<BTreeMap<SeenKey, Vec<FlowCounter>>> {
    map.iter().map(|entry| entry.map(|(key, values)| (key, values.to_vec())).map_err(Into::into)).collect()
}

/// Size and identity of a pinned map.
fn info(pins: &Pins, name: &str) -> Result<(u32, u32)> {
    let info = MapInfo::from_pin(pins.map(name))?;
    Ok((info.max_entries(), info.id()))
}

#[test]
#[ignore = "T2: root, bpf"]
fn larger_maps_take_all_counts_over() -> Result<()> {
    with_pins(|pins| {
        load::maps(pins, &SIZES)?;
        let mut maps = Maps::open(pins)?;
        count(&mut maps.flows, FLOWS)?;
        count(&mut maps.ghosts, FLOWS)?;
        let before = (counts(&maps.flows)?, counts(&maps.ghosts)?);
        assert_eq!((before.0.len(), before.1.len()), (FLOWS as usize, FLOWS as usize));
        drop(maps);
        load::maps(pins, &Sizes { sas: 32, flows: 128, ghosts: 512 })?;
        let maps = Maps::open(pins)?;
        let sizes = [names::MAP_SAS, names::MAP_INNER, names::MAP_FLOWS, names::MAP_GHOSTS];
        let sizes: Vec<_> = sizes.iter().map(|name| Ok(info(pins, name)?.0)).collect::<Result<_>>()?;
        assert_eq!(sizes, [32, 32, 128, 512]);
        assert_eq!((counts(&maps.flows)?, counts(&maps.ghosts)?), before);
        Ok(())
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn a_smaller_map_takes_what_it_can_hold() -> Result<()> {
    with_pins(|pins| {
        load::maps(pins, &SIZES)?;
        let mut maps = Maps::open(pins)?;
        count(&mut maps.flows, FLOWS)?;
        let before = counts(&maps.flows)?;
        drop(maps);
        load::maps(pins, &Sizes { flows: 16, ..SIZES })?;
        let after = counts(&Maps::open(pins)?.flows)?;
        assert_eq!(after.len(), 16);
        assert!(after.iter().all(|(key, values)| before.get(key) == Some(values)), "{after:?}");
        Ok(())
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn maps_of_the_same_size_stay() -> Result<()> {
    with_pins(|pins| {
        load::maps(pins, &SIZES)?;
        let before: Vec<_> = names::MAPS.iter().map(|name| info(pins, name)).collect::<Result<_>>()?;
        count(&mut Maps::open(pins)?.ghosts, FLOWS)?;
        load::maps(pins, &SIZES)?;
        let after: Vec<_> = names::MAPS.iter().map(|name| info(pins, name)).collect::<Result<_>>()?;
        assert_eq!(after, before);
        assert_eq!(counts(&Maps::open(pins)?.ghosts)?.len(), FLOWS as usize);
        Ok(())
    })
}
