//! `[[bypass]]` and `[[discard]]` beside a tunnel: one passes in the clear, the other not at all, all else as ESP, with
//! every guard in enforce.

use anyhow::{Result, ensure};
use esp_tests::{
    capture::Kind,
    lab::{
        CLIENT_A, CLIENT_B, ENFORCE, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, moved, ping, xfrm_stat,
    },
    stream::Stream,
    wait::until_ok,
};
use std::time::Duration;

const PINGS: u32 = 3;
const RATE: u32 = 50;

#[test]
#[ignore = "T4: root, ESP, on the newest kernel"]
fn what_is_excused_is_clear_what_is_banned_is_gone_all_else_is_esp() -> Result<()> {
    let lab = Lab::new()?;
    // Clear text could pass the router.
    lab.start_clear_phase()?;
    let router = lab.watch_router()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    let mut a = Gateway::new(&lab, Side::A, &config(&tunnel, Side::A))?;
    let mut b = Gateway::new(&lab, Side::B, &config(&tunnel, Side::B))?;
    Gateway::start_all([&mut a, &mut b])?;
    let stats = [xfrm_stat(&lab.server_a)?, xfrm_stat(&lab.server_b)?];

    // IPv4 pings are excused.
    for (from, to) in [(&lab.client_a, CLIENT_B[0]), (&lab.client_b, CLIENT_A[0])] {
        let pings = ping(from, to, PINGS)?;
        ensure!(pings.complete(), "{pings} to {to}");
    }
    let seen = router.take()?;
    ensure!(seen.count(Kind::Echo) == 4 * u64::from(PINGS), "{seen}");
    ensure!(Side::BOTH.iter().all(|to| seen.count(esp(&tunnel, *to)) == 0), "{seen}");

    // IPv6 pings are banned, each at its own gateway.
    for (from, to) in [(&lab.client_a, CLIENT_B[1]), (&lab.client_b, CLIENT_A[1])] {
        let pings = ping(from, to, PINGS)?;
        ensure!(pings.received == 0, "{pings} to {to}");
    }
    let seen = router.take()?;
    ensure!(seen.clear() == 0 && Side::BOTH.iter().all(|to| seen.count(esp(&tunnel, *to)) == 0), "{seen}");

    // All else is protected.
    let stream = Stream::start((&lab.client_a, CLIENT_A[0]), (&lab.client_b, CLIENT_B[0]), RATE)?;
    until_ok(Duration::from_secs(30), "datagrams", || {
        ensure!(a.packets([("out", tunnel.spi(Side::B))])?[0] > u64::from(RATE), "few have left");
        Ok(())
    })?;
    let arrived = stream.finish()?;
    ensure!(arrived.sent > 0 && arrived.missing() == 0, "{arrived}");
    let seen = router.take()?;
    ensure!(seen.clear() == 0 && seen.count(esp(&tunnel, Side::B)) >= arrived.sent, "{arrived}; {seen}");

    for (gateway, before) in [&a, &b].into_iter().zip(stats) {
        let moved = moved(&before, &xfrm_stat(&gateway.netns)?);
        let banned = [("XfrmOutPolBlock".to_owned(), u64::from(PINGS))];
        ensure!(moved == banned.into(), "{}: {moved:?}", gateway.iface);
        let agent = gateway.agent()?;
        ensure!(agent.metric("esp_guard_hits_total", &[])? == 0, "a guard hit at {}", gateway.iface);
    }
    Ok(())
}

const fn esp(tunnel: &Tunnel, to: Side) -> Kind {
    Kind::Esp(tunnel.outer.server(to), tunnel.spi(to))
}

fn config(tunnel: &Tunnel, at: Side) -> String {
    let [[our_v4, our_v6], [their_v4, their_v6]] = [at.nets(), at.other().nets()];
    format!(
        "{ENFORCE}{}\
         [[bypass]]\nname = \"pings\"\nlocal_net = \"{our_v4}\"\nremote_net = \"{their_v4}\"\nprotocol = \"icmp\"\n\
         [[discard]]\nname = \"no-pings\"\nlocal_net = \"{our_v6}\"\nremote_net = \"{their_v6}\"\n\
         protocol = \"icmpv6\"\n",
        tunnel.config(at, "")
    )
}
