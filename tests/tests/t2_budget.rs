//! Budgets in the running kernel: what is over is dropped before it costs more, what is below passes whole.

use anyhow::{Result, ensure};
use esp_common::{Action, Addr, Budgets, FlowKey, Hook, Reason, SaEntry, Spi};
use esp_tests::{
    frame::{Frame, Ipv4, Payload},
    kernel::{Constants, Kernel},
    world::World,
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

const US: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 1);
const PEERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 66, 66, 1), Ipv4Addr::new(10, 66, 66, 2)];
const SPI: u32 = 0x1000;
const STRANGE: u32 = 0xdead_0000;
/// Longer than a round of floods, each of which waits for RCU: a budget that is not asked fills up no further.
const BURST: Duration = Duration::from_millis(500);
/// So that what is left of a burst at the end is a small part.
const TIME: Duration = Duration::from_secs(3);

fn frame(peer: Ipv4Addr, spi: u32) -> Vec<u8> {
    Frame::v4(&Ipv4::new(peer, US), &Payload::esp(spi, 1, 64)).build()
}

fn kernel(budgets: Budgets) -> Result<Kernel> {
    let mut kernel = Kernel::load(Constants::default())?;
    let key = |spi| FlowKey::new(Addr::from_v4(US.octets()), Spi::new(spi));
    let mut world = World::lab();
    world.sas = [SPI, SPI + 1].map(|spi| (key(spi), SaEntry::default())).into();
    world.settings.budgets = Budgets { burst_ns: BURST.as_nanos() as u32, ..budgets };
    kernel.tell(&world)?;
    Ok(kernel)
}

fn packets(kernel: &Kernel, reason: Reason, action: Action) -> Result<u64> {
    Ok(kernel.reason(Hook::Xdp, reason, action)?.packets)
}

/// Runs frames for a while, each in turn; how many, and for how long.
fn flood(kernel: &Kernel, frames: &[Vec<u8>]) -> Result<(u64, Duration)> {
    const RUN: u32 = 50_000;
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < TIME {
        for frame in frames {
            kernel.run(esp_common::names::PROG_XDP, frame, RUN)?;
            sent += u64::from(RUN);
        }
    }
    Ok((sent, start.elapsed()))
}

/// What passes of a flood against one budget of `rate` is that rate, within five percent.
fn expect_rate(passed: u64, rate: u32, time: Duration) -> Result<()> {
    let wanted = f64::from(rate) * (time + BURST).as_secs_f64();
    let off = (passed as f64 / wanted - 1.0).abs();
    ensure!(off <= 0.05, "{passed} passed in {time:?} at {rate}/s: {:.1} % off", off * 100.0);
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn each_budget_is_its_rate_within_five_percent() -> Result<()> {
    let [a, b] = PEERS;
    for rate in [1_000, 100_000] {
        let interval = Budgets::interval_ns(rate);
        let of_sa = kernel(Budgets { sa_ns: interval, ..Budgets::default() })?;
        let (sent, time) = flood(&of_sa, &[frame(a, SPI), frame(a, SPI + 1)])?;
        let passed = packets(&of_sa, Reason::EspKnown, Action::Pass)?;
        expect_rate(passed, 2 * rate, time)?;
        ensure!(passed + packets(&of_sa, Reason::SaBudget, Action::Drop)? == sent, "of {sent}");

        let of_peer = kernel(Budgets { peer_ns: interval, ..Budgets::default() })?;
        let (sent, time) = flood(&of_peer, &[frame(a, SPI), frame(a, SPI + 1), frame(b, SPI)])?;
        let passed = packets(&of_peer, Reason::EspKnown, Action::Pass)?;
        expect_rate(passed, 2 * rate, time)?;
        ensure!(passed + packets(&of_peer, Reason::PeerBudget, Action::Drop)? == sent, "of {sent}");

        let of_unknown = kernel(Budgets { unknown_ns: interval, ..Budgets::default() })?;
        let (sent, time) = flood(&of_unknown, &[frame(a, STRANGE), frame(b, STRANGE + 1)])?;
        // The guard enforces: what is within the budget is dropped too, for its own reason.
        let within = packets(&of_unknown, Reason::UnknownSpi, Action::Drop)?;
        expect_rate(within, rate, time)?;
        ensure!(within + packets(&of_unknown, Reason::UnknownBudget, Action::Drop)? == sent, "of {sent}");
        ensure!(of_unknown.verdict(Hook::Xdp, &frame(a, SPI))? == Action::Pass, "an SA has no part in it");
    }
    Ok(())
}

#[test]
#[ignore = "T2: root, bpf"]
fn without_a_budget_all_passes_and_what_leaves_has_none() -> Result<()> {
    let none = kernel(Budgets::default())?;
    none.run(esp_common::names::PROG_XDP, &frame(PEERS[0], SPI), 100_000)?;
    assert_eq!(packets(&none, Reason::EspKnown, Action::Pass)?, 100_000);
    let one = kernel(Budgets { sa_ns: u32::MAX, peer_ns: u32::MAX, unknown_ns: u32::MAX, burst_ns: 0 })?;
    one.run(esp_common::names::PROG_TC_OUT, &frame(PEERS[0], SPI), 1_000)?;
    assert_eq!(one.reason(Hook::TcEgress, Reason::EspKnown, Action::Pass)?.packets, 1_000);
    Ok(())
}

/// What an incomplete picture passes may be of an SA.
#[test]
#[ignore = "T2: root, bpf"]
fn an_incomplete_picture_has_no_budget_for_what_it_does_not_know() -> Result<()> {
    let mut kernel = kernel(Budgets::default())?;
    let mut world = World::lab().unsynced();
    world.settings.budgets = Budgets { unknown_ns: u32::MAX, ..Budgets::default() };
    kernel.tell(&world)?;
    // 200 is reserved.
    for (spi, reason) in [(STRANGE, Reason::UnknownUnsynced), (200, Reason::SpiReserved)] {
        kernel.run(esp_common::names::PROG_XDP, &frame(PEERS[0], spi), 1_000)?;
        assert_eq!(packets(&kernel, reason, Action::Pass)?, 1_000);
    }
    Ok(())
}
