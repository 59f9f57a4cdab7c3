//! A flood of SPIs that no SA has: it takes no memory, and nothing from the SAs that there are.

use anyhow::{Context as _, Result, ensure};
use esp_agent::{config::Sizes, datapath::cpus};
use esp_common::{Action, Addr, FlowKey, Reason, SaEntry, Spi, names};
use esp_tests::{
    bench::vary::{Spis, Varied},
    frame::{Frame, Ipv4, Payload},
    kernel::{Constants, Kernel},
    world::World,
};
use std::{collections::BTreeMap, fs, net::Ipv4Addr};

const US: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 66, 66, 1);
const SPI: u32 = 0x1000;
const SAS: u32 = 16;
const GHOSTS: u32 = 1_024;
const FLOOD: u32 = 10_000_000;
/// The flood comes in so many parts, and packets of each SA between them.
const PARTS: u32 = 10;
const BETWEEN: u32 = 100;
/// `XDP_DROP`.
const DROP: u32 = 1;
/// Where the SPI is: behind an Ethernet and an IPv4 header.
const OFFSET: u32 = 14 + 20;

fn frame(spi: u32) -> Vec<u8> {
    Frame::v4(&Ipv4::new(PEER, US), &Payload::esp(spi, 1, 64)).build()
}

#[test]
#[ignore = "T2: root, bpf"]
fn ten_million_spis_push_out_no_sa_and_take_no_memory() -> Result<()> {
    let mut kernel = Kernel::sized(Constants::default(), &Sizes { ghosts: GHOSTS, ..Sizes::default() })?;
    let keys = (SPI..SPI + SAS).map(|spi| FlowKey::new(Addr::from_v4(US.octets()), Spi::new(spi)));
    kernel.tell(&World { sas: keys.map(|key| (key, SaEntry::default())).collect(), ..World::lab() })?;
    let flood =
        Varied::new(kernel.xdp(names::PROG_XDP)?, Spis { base: 0x8000_0000, count: 1 << 24 }, OFFSET)?;
    let before = memory()?;
    ensure!(before.len() > 20, "{before:?}");

    for _ in 0..PARTS {
        flood.run(&frame(0), FLOOD / PARTS, DROP)?;
        (SPI..SPI + SAS).try_for_each(|spi| kernel.run(names::PROG_XDP, &frame(spi), BETWEEN).map(drop))?;
    }

    assert_eq!(memory()?, before, "maps have grown");
    let known = u64::from(PARTS * BETWEEN);
    let reasons =
        kernel.reasons()?.into_iter().map(|(.., reason, action, count)| (reason, action, count.packets));
    let wanted = [
        (Reason::EspKnown, Action::Pass, known * u64::from(SAS)),
        (Reason::UnknownSpi, Action::Drop, u64::from(FLOOD)),
    ];
    assert_eq!(reasons.collect::<Vec<_>>(), wanted);
    let flows: BTreeMap<u32, u64> =
        kernel.flows(true)?.iter().map(|(seen, flow)| (seen.spi.number(), flow.counter.packets)).collect();
    assert_eq!(flows, (SPI..SPI + SAS).map(|spi| (spi, known)).collect());
    let ghosts = kernel.flows(false)?;
    let most = (GHOSTS * cpus::count()?) as usize;
    ensure!(!ghosts.is_empty() && ghosts.len() <= most, "{} ghosts", ghosts.len());
    ensure!(ghosts.keys().all(|seen| !flows.contains_key(&seen.spi.number())), "an SA among the ghosts");
    assert_eq!(kernel.lost(names::LOST_GHOSTS)?, 0);
    Ok(())
}

/// Room and bytes of each map that this process holds, by its id.
fn memory() -> Result<BTreeMap<String, [String; 2]>> {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        // The directory itself is open for as long as it is read, and gone behind it.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        if let Some(id) = field("map_id") {
            let of = |name| field(name).with_context(|| format!("no {name} of map {id}"));
            maps.insert(id.clone(), [of("max_entries")?, of("memlock")?]);
        }
    }
    Ok(maps)
}
