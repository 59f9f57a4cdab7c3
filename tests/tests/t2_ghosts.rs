//! A flood of SPIs that no SA has: it takes no memory, and nothing from the SAs that there are.

use anyhow::{Context as _, Result, ensure};
use esp_agent::config::Sizes;
use esp_common::{Action, Addr, FlowKey, Hook, Reason, SaEntry, Spi, names};
use esp_tests::{
    bench::vary::{Spis, Varied},
    frame::{Frame, Ipv4, Payload},
    kernel::{Constants, Kernel},
    world::World,
};
use std::net::Ipv4Addr;

const US: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 66, 66, 1);
const SPI: u32 = 0x1000;
const GHOSTS: u32 = 1_024;
const FLOOD: u32 = 10_000_000;
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
    let key = FlowKey::new(Addr::from_v4(US.octets()), Spi::new(SPI));
    kernel.tell(&World { sas: [(key, SaEntry::default())].into(), ..World::lab() })?;
    let known = |kernel: &Kernel| -> Result<_> {
        let flows = kernel.flows(true)?;
        let flow = flows.iter().find(|(seen, _)| seen.spi == key.spi).context("the SA's flow")?;
        Ok((*flow.1, flows.len()))
    };
    kernel.run(names::PROG_XDP, &frame(SPI), 1_000)?;
    let (before, _) = known(&kernel)?;

    let flood = Varied::new(&kernel, names::PROG_XDP, Spis { base: 0x8000_0000, count: 1 << 24 }, OFFSET)?;
    flood.run(&frame(0), FLOOD, DROP)?;
    kernel.run(names::PROG_XDP, &frame(SPI), 1_000)?;

    assert_eq!(kernel.reason(Hook::Xdp, Reason::UnknownSpi, Action::Drop)?.packets, u64::from(FLOOD));
    let (after, flows) = known(&kernel)?;
    assert_eq!((after.counter.packets, after.span_ns.0, flows), (2_000, before.span_ns.0, 1));
    let ghosts = kernel.flows(false)?;
    ensure!(
        !ghosts.is_empty() && ghosts.len() <= (GHOSTS * host_cpus()?) as usize,
        "{} ghosts",
        ghosts.len()
    );
    ensure!(ghosts.keys().all(|seen| seen.spi != key.spi), "an SA among the ghosts");
    assert_eq!(kernel.lost(names::LOST_GHOSTS)?, 0);
    Ok(())
}

fn host_cpus() -> Result<u32> {
    Ok(esp_agent::datapath::cpus::count()?)
}
