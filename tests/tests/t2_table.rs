//! The table of SAs under the programs in the running kernel: every SA is found, every packet counted once, wherever its
//! line is and whoever had it before.

use anyhow::{Context as _, Result, ensure};
use esp_agent::config::Sizes;
use esp_common::{Action, Addr, Counter, FlowKey, Hook, Reason, SaEntry, SeenKey, Spi, names};
use esp_tests::{
    bench::vary::{Spis, Varied},
    frame::{Frame, Ipv4, Payload},
    kernel::{Constants, Kernel},
    world::{TUNNEL, World, scattered},
};
use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

const US: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 66, 66, 1);
const SMALL: Sizes = Sizes { sas: 16, flows: 1_024, ghosts: 16 };

fn key(spi: u32) -> FlowKey {
    FlowKey::new(Addr::from_v4(US.octets()), Spi::new(spi))
}

fn frame(spi: u32) -> Vec<u8> {
    Frame::v4(&Ipv4::new(PEER, US), &Payload::esp(spi, 1, 64)).build()
}

fn sa() -> SaEntry {
    SaEntry { tunnel: TUNNEL, flags: SaEntry::OFFLOADED }
}

fn kernel(sizes: &Sizes) -> Result<Kernel> {
    let mut kernel = Kernel::sized(Constants::default(), sizes)?;
    kernel.tell(&World { sas: [].into(), ..World::lab() })?;
    Ok(kernel)
}

fn known(kernel: &Kernel) -> Result<Counter> {
    kernel.reason(Hook::Xdp, Reason::EspKnown, Action::Pass)
}

fn count(packets: u64) -> Counter {
    Counter { packets, bytes: packets * frame(1).len() as u64 }
}

#[test]
#[ignore = "T2: root, bpf"]
fn every_sa_of_a_full_table_is_found_also_in_the_stash() -> Result<()> {
    let mut kernel = kernel(&Sizes::default())?;
    let spis: BTreeSet<u32> = (1..=names::SAS).map(|number| scattered(number) | 0x100).collect();
    for spi in &spis {
        kernel.set_sa(&key(*spi), &sa())?;
    }
    // Eleven are expected: a bucket of seven leaves out 0.07 % where two come to a bucket on average.
    ensure!(kernel.table().stashed() > 0, "no bucket has overflown");
    for spi in &spis {
        let action = kernel.verdict(Hook::Xdp, &frame(*spi))?;
        ensure!(action == Action::Pass, "SPI {spi:#x}");
    }
    assert_eq!(known(&kernel)?, count(spis.len() as u64));
    let flows = kernel.flows(true)?;
    ensure!(flows.len() == spis.len() && flows.values().all(|flow| flow.counter == count(1)));
    assert_eq!(kernel.verdict(Hook::Xdp, &frame(0xdead_0000))?, Action::Drop);
    Ok(())
}

/// Sixteen in eight buckets: some have one SPI and one bucket, and the search by SPI alone finds none of them.
#[test]
#[ignore = "T2: root, bpf"]
fn one_spi_at_several_destinations_is_several_sas() -> Result<()> {
    let mut kernel = kernel(&SMALL)?;
    let at = |host: u8| Ipv4Addr::new(10, 55, 56, host);
    let frame = |host| Frame::v4(&Ipv4::new(PEER, at(host)), &Payload::esp(0x1000, 1, 64)).build();
    let keys: Vec<_> =
        (0..16).map(|host| FlowKey::new(Addr::from_v4(at(host).octets()), Spi::new(0x1000))).collect();
    for key in &keys {
        kernel.set_sa(key, &sa())?;
    }
    (0..=16).try_for_each(|host| kernel.verdict(Hook::Xdp, &frame(host)).map(drop))?;
    assert_eq!(known(&kernel)?, count(16));
    let flows = kernel.flows(true)?;
    assert_eq!(
        flows.keys().map(|flow| flow.dst).collect::<BTreeSet<_>>(),
        keys.iter().map(|key| key.dst).collect()
    );
    ensure!(flows.values().all(|flow| flow.counter == count(1)), "{flows:?}");
    assert_eq!(kernel.reason(Hook::Xdp, Reason::EspForeign, Action::Pass)?, count(1));
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn counts_survive_that_their_slot_goes_to_other_sas() -> Result<()> {
    const SAS: u32 = 200;
    let mut kernel = kernel(&SMALL)?;
    // Each lives twice, for one packet and then for two.
    for packets in [1, 2] {
        for spi in 0x1000..0x1000 + SAS {
            kernel.set_sa(&key(spi), &sa())?;
            for _ in 0..packets {
                kernel.verdict(Hook::Xdp, &frame(spi))?;
            }
            kernel.remove_sa(&key(spi))?;
            ensure!(kernel.verdict(Hook::Xdp, &frame(spi))? == Action::Drop, "{spi:#x} is gone");
        }
    }
    assert_eq!(known(&kernel)?, count(3 * u64::from(SAS)));
    assert_eq!(kernel.tunnel(TUNNEL, esp_common::Direction::In)?, count(3 * u64::from(SAS)));
    let flows = kernel.flows(true)?;
    assert_eq!(flows.len(), SAS as usize);
    ensure!(flows.values().all(|flow| flow.counter == count(3)), "{flows:?}");
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn another_direction_is_another_flow_of_the_same_sa() -> Result<()> {
    let mut kernel = kernel(&SMALL)?;
    kernel.set_sa(&key(0x1000), &sa())?;
    for _ in 0..3 {
        kernel.verdict(Hook::Xdp, &frame(0x1000))?;
    }
    for _ in 0..2 {
        kernel.verdict(Hook::TcEgress, &frame(0x1000))?;
    }
    let flows = kernel.flows(true)?;
    assert_eq!(flows.len(), 2);
    for (direction, packets) in [(0, 3), (1, 2)] {
        let seen = SeenKey { dst: key(0).dst, spi: Spi::new(0x1000), direction, pad: 0, iface: 0 };
        let flow = flows.get(&seen).with_context(|| format!("direction {direction}"))?;
        assert_eq!(flow.counter, count(packets));
        assert_eq!(flow.src, Some(Addr::from_v4(PEER.octets())));
        ensure!(flow.span_ns.0 > 0 && flow.span_ns.0 <= flow.span_ns.1, "{flow:?}");
    }
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn the_time_of_the_datapath_is_that_of_the_agent() -> Result<()> {
    // The resolution of a line, and a tick of the slowest kernel.
    const NEAR_NS: u64 = (1 << 24) + 10_000_000;
    let mut kernel = kernel(&SMALL)?;
    kernel.set_sa(&key(0x1000), &sa())?;
    let before = esp_agent::clock::monotonic_ns();
    kernel.verdict(Hook::Xdp, &frame(0x1000))?;
    kernel.verdict(Hook::TcEgress, &frame(0x2000))?;
    let after = esp_agent::clock::monotonic_ns();
    for flow in kernel.flows(true)?.values().chain(kernel.flows(false)?.values()) {
        let (first, last) = flow.span_ns;
        ensure!(first + NEAR_NS >= before && last <= after + NEAR_NS, "{flow:?}: {before} to {after}");
    }
    Ok(())
}

/// The times are those of a build without optimisation, on a machine that does other things too: far from what was asked for
/// (50 us, 20 ms), and still enough to tell an edit from a rebuilding.
#[test]
#[ignore = "T2: root, bpf"]
fn one_edit_and_one_reading_of_a_large_table_are_quick() -> Result<()> {
    const SAS: u32 = 1 << 16;
    const EDITS: u32 = 501;
    const FIRST: u32 = 0x1000;
    let mut kernel = kernel(&Sizes { sas: SAS, flows: 1_024, ghosts: 16 })?;
    for spi in FIRST..FIRST + SAS - 1 {
        kernel.set_sa(&key(spi), &sa())?;
    }
    // The SPI is behind Ethernet and IPv4; some packets have the one SPI that is free.
    let spis = Spis { base: FIRST, count: SAS };
    Varied::new(kernel.xdp(names::PROG_XDP)?, spis, 34)?.run(&frame(FIRST), 4 * SAS, 2)?;
    let mut times = Vec::new();
    for spi in FIRST + SAS..FIRST + SAS + EDITS {
        let start = Instant::now();
        kernel.set_sa(&key(spi), &sa())?;
        kernel.remove_sa(&key(spi))?;
        times.push(start.elapsed() / 2);
    }
    times.sort_unstable();
    let edit = times[times.len() / 2];
    let start = Instant::now();
    let rows = kernel.rows();
    let reading = start.elapsed();
    ensure!(rows.len() > SAS as usize * 9 / 10, "{} rows", rows.len());
    eprintln!("{edit:?} for one edit, {reading:?} for {} lines", rows.len());
    ensure!(
        edit < Duration::from_micros(500) && reading < Duration::from_millis(500),
        "{edit:?}, {reading:?}"
    );
    Ok(())
}
