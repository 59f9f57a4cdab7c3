//! A map of another size is made anew, and no count is lost.

use anyhow::{Result, ensure};
use aya::{
    TestRun as _,
    maps::{MapData, MapInfo, PerCpuHashMap, PerCpuValues},
    programs::TestRunOptions,
};
use esp_agent::{
    config::Sizes,
    datapath::{
        fill::Filler,
        image::{Image, SaImage},
        load,
        maps::Maps,
        pins::Pins,
        read,
    },
};
use esp_common::{ABI_VERSION, FlowCounter, FlowKey, SeenKey, Spi, names};
use esp_tests::{
    frame::{Frame, Ipv4, Payload},
    netns::Netns,
    world::{PEER, US, addr, scattered},
};
use std::collections::BTreeMap;

const SIZES: Sizes = Sizes { sas: 16, flows: 64, ghosts: 256 };
/// Flows that are counted before the change.
const FLOWS: u32 = 40;

fn with_pins(work: impl FnOnce(&Pins) -> Result<()> + Send) -> Result<()> {
    Netns::new("resize")?.run_in(|| work(&Pins::new(format!("/sys/fs/bpf/esp-agent/v{ABI_VERSION}/test"))))
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

/// Flows that no SA has; their times as exact as a line keeps them. The hash spreads what is scattered; numbers in a row may
/// come to a few of its places, and some of them would find no line.
fn ghosts() -> impl Iterator<Item = (SeenKey, FlowCounter)> {
    (1..=FLOWS).map(|number| {
        let spi = Spi::new(scattered(number));
        let key = SeenKey { dst: addr(US), spi, direction: 0, pad: 0, iface: 0 };
        let (packets, bytes) = (u64::from(number), 100 * u64::from(number));
        (key, FlowCounter { packets, bytes, first_ns: 5 << 24, last_ns: 7 << 24, src: addr(PEER) })
    })
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
        maps.ghosts.restore(ghosts());
        let before = (counts(&maps.flows)?, maps.ghosts.rows());
        assert_eq!((before.0.len(), before.1.len()), (FLOWS as usize, FLOWS as usize));
        drop(maps);
        load::maps(pins, &Sizes { sas: 32, flows: 128, ghosts: 512 })?;
        let maps = Maps::open(pins)?;
        let sizes = [names::MAP_SAS, names::MAP_INNER, names::MAP_FLOWS];
        let sizes: Vec<_> = sizes.iter().map(|name| Ok(info(pins, name)?.0)).collect::<Result<_>>()?;
        assert_eq!(sizes, [32, 32, 128]);
        assert_eq!((counts(&maps.flows)?, maps.ghosts.rows()), before);
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

/// What an agent with maps of `sizes` counts: one packet more for each SA of the table.
fn agent(pins: &Pins, sizes: &Sizes, spis: &[u32]) -> Result<BTreeMap<SeenKey, u64>> {
    load::maps(pins, sizes)?;
    let mut filler = Filler::open(Maps::open(pins)?)?;
    let sa = SaImage { tunnel: "site-b".into(), ..SaImage::default() };
    let sas = spis.iter().map(|spi| (FlowKey::new(addr(US), Spi::new(*spi)), sa.clone())).collect();
    let notes = filler.fill(&Image { sas, ..Image::default() })?;
    ensure!(notes.is_empty(), "{notes:?}");
    let constants = load::Constants::default();
    let mut loaded = load::programs(pins, sizes, constants)?;
    for spi in spis {
        let frame =
            Frame::v4(&Ipv4::new([10, 66, 66, 1], [10, 55, 55, 1]), &Payload::esp(*spi, 1, 64)).build();
        loaded
            .xdp(names::PROG_XDP)?
            .test_run(TestRunOptions { data_in: Some(&frame), ..TestRunOptions::new() })?;
    }
    let total: u64 = read::reasons(filler.maps())?.iter().map(|count| count.counter.packets).sum();
    ensure!(total == 0, "no interface has a slot here");
    Ok(read::flows(filler.maps())?.into_iter().map(|flow| (flow.key, flow.seen.packets)).collect())
}

#[test]
#[ignore = "T2: root, bpf"]
fn counts_of_sas_go_on_in_a_table_of_another_size() -> Result<()> {
    with_pins(|pins| {
        let spis: Vec<u32> = (0x1000..0x1010).collect();
        let mut sent: BTreeMap<Spi, u64> = BTreeMap::new();
        // Larger, as it was, the same again, with fewer SAs, and larger again.
        for (sas, live) in [(16, 16), (64, 16), (16, 16), (16, 16), (16, 4), (64, 16)] {
            let live = &spis[..live];
            let seen = agent(pins, &Sizes { sas, ..SIZES }, live)?;
            live.iter().for_each(|spi| *sent.entry(Spi::new(*spi)).or_default() += 1);
            let seen: BTreeMap<_, _> = seen.into_iter().map(|(key, packets)| (key.spi, packets)).collect();
            assert_eq!(seen, sent, "{sas} SAs");
        }
        Ok(())
    })
}

#[test]
#[ignore = "T2: root, bpf"]
fn maps_of_the_same_size_stay() -> Result<()> {
    with_pins(|pins| {
        load::maps(pins, &SIZES)?;
        let before: Vec<_> = names::MAPS.iter().map(|name| info(pins, name)).collect::<Result<_>>()?;
        Maps::open(pins)?.ghosts.restore(ghosts());
        load::maps(pins, &SIZES)?;
        let after: Vec<_> = names::MAPS.iter().map(|name| info(pins, name)).collect::<Result<_>>()?;
        assert_eq!(after, before);
        assert_eq!(Maps::open(pins)?.ghosts.rows().len(), FLOWS as usize);
        Ok(())
    })
}
