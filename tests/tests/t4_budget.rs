//! Budgets with real ESP: what is within them is decrypted, all of it, and what is over never gets so far.

use anyhow::{Context as _, Result, ensure};
use esp_agent::xfrm::{Xfrm as _, netlink::Netlink};
use esp_common::{Action, Hook, Reason};
use esp_tests::{
    agent::PATIENCE,
    lab::{CLIENT_B, Gateway, Lab, Line, Mode, Outer, Side, Suite, Tap, Tunnel, counted, moved, xfrm_stat},
    wait::until_ok,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Slow enough to be exceeded under emulation.
const RATE: u32 = 200;
/// A host that gives the VM no time for so long takes nothing from what may come.
const BURST: Duration = Duration::from_secs(2);
/// So that what comes at once is a small part.
const TIME: Duration = Duration::from_secs(12);
/// Frames on their way at once: fewer than a veth holds.
const CHUNK: u32 = 64;

/// What became of the frames.
#[derive(Clone, Copy, Debug)]
struct Seen {
    passed: u64,
    dropped: u64,
}

/// Without a window the same numbers may come again and again.
#[test]
#[ignore = "T4: root, ESP"]
fn a_budget_lets_its_rate_through_and_the_rest_is_never_decrypted() -> Result<()> {
    let lab = Lab::new()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    tunnel.by_hand(&lab.server_b, Side::B)?;
    let config = |budget: &str| format!("{budget}{}", tunnel.config(Side::A, "replay_window = 0"));
    let mut a = Gateway::new(&lab, Side::A, &config(""))?;
    a.start()?;
    let line = Line::new(&lab, CLIENT_B[0])?;
    let mut tap = Tap::new(&lab, tunnel.spi(Side::A))?;
    for number in 1..=CHUNK {
        line.send(number.into())?;
        ensure!(tap.hold()? == number, "other traffic takes numbers of the SA");
    }
    let before = xfrm_stat(&a.netns)?;
    for (of, reason) in [("sa", Reason::SaBudget), ("peer", Reason::PeerBudget)] {
        a.reload(&config(&format!("[budget]\n{of} = {RATE}\nburst = \"{}s\"\n", BURST.as_secs())))?;
        let start = Instant::now();
        // Less than the burst: nothing is dropped.
        let few = deliver(&a, &tap, reason, |seen| seen.passed + seen.dropped < u64::from(RATE))?;
        ensure!(few.dropped == 0 && few.passed >= RATE.into(), "{of}: {few:?}");
        let more = deliver(&a, &tap, reason, |_| start.elapsed() < TIME)?;
        let (passed, time) = (few.passed + more.passed, start.elapsed());
        let wanted = f64::from(RATE) * (time + BURST).as_secs_f64();
        let off = passed as f64 / wanted - 1.0;
        eprintln!("{of}: {passed} passed, {} dropped in {time:?}: {:+.1} %", more.dropped, off * 100.0);
        ensure!(off.abs() <= 0.05, "{of}: {passed} passed in {time:?}, {:+.1} % off", off * 100.0);
        ensure!(more.dropped > passed, "{of}: no flood: {more:?}");
    }
    let grown = moved(&before, &xfrm_stat(&a.netns)?);
    ensure!(grown == BTreeMap::new(), "{grown:?}");
    Ok(())
}

/// Delivers the frames that are held, again and again: what passed is decrypted, each packet of it and no other.
fn deliver(a: &Gateway, tap: &Tap, reason: Reason, more: impl Fn(Seen) -> bool) -> Result<Seen> {
    let maps = a.maps()?;
    let at_xdp = || Seen {
        passed: counted(&maps, Hook::Xdp, Reason::EspKnown, Action::Pass),
        dropped: counted(&maps, Hook::Xdp, reason, Action::Drop),
    };
    let (before, decrypted) = (at_xdp(), decrypted(a)?);
    let (mut seen, mut sent) = (Seen { passed: 0, dropped: 0 }, 0);
    while more(seen) {
        (1..=CHUNK).try_for_each(|number| tap.deliver(number))?;
        sent += u64::from(CHUNK);
        seen = until_ok(PATIENCE, "a chunk at XDP", || {
            let now = at_xdp();
            let seen = Seen { passed: now.passed - before.passed, dropped: now.dropped - before.dropped };
            ensure!(seen.passed + seen.dropped == sent, "{seen:?} of {sent}");
            Ok(seen)
        })?;
    }
    until_ok(PATIENCE, "what passed to be decrypted", || {
        let more = self::decrypted(a)? - decrypted;
        ensure!(more == seen.passed, "{more} of {seen:?}");
        Ok(())
    })?;
    Ok(seen)
}

/// Packets that the kernel's inbound SA has transformed.
fn decrypted(a: &Gateway) -> Result<u64> {
    let sas = a.netns.run_in(|| Ok(Netlink::open()?.sas()?))?;
    let inbound = sas.iter().find(|sa| sa.sa.id.dst == Outer::V4.server_a());
    Ok(inbound.context("no inbound SA")?.packets)
}
