//! Every suite over both families in both modes, installed by the agents of both gateways. One pair of agents goes
//! through all of them by SIGHUP: each change is a rekey to other SPIs, keys and algorithms.

use anyhow::{Result, ensure};
use esp_tests::{
    capture::{Capture, Kind},
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, ping},
};

const PINGS: u32 = 2;

#[test]
#[ignore = "T4: root, ESP"]
fn every_suite_passes_in_tunnel_mode() -> Result<()> {
    each_suite(Mode::Tunnel)
}

#[test]
#[ignore = "T4: root, ESP"]
fn every_suite_passes_in_transport_mode() -> Result<()> {
    each_suite(Mode::Transport)
}

fn each_suite(mode: Mode) -> Result<()> {
    let lab = Lab::new()?;
    let router = lab.watch_router()?;
    let (mut a, mut b) = (Gateway::new(&lab, Side::A, "")?, Gateway::new(&lab, Side::B, "")?);
    Gateway::start_all([&mut a, &mut b])?;
    for outer in [Outer::V4, Outer::V6] {
        for suite in Suite::ALL {
            let tunnel = Tunnel::new(outer, suite, mode)?;
            a.reload(&tunnel.config(Side::A, "esn = true\nreplay_window = 128"))?;
            b.reload(&tunnel.config(Side::B, "esn = true\nreplay_window = 128"))?;
            check(&lab, &router, [&a, &b], &tunnel)
                .map_err(|error| error.context(format!("{suite:?}, outer {outer:?}, {mode:?}")))?;
        }
    }
    Ok(())
}

fn check(lab: &Lab, router: &Capture, gateways: [&Gateway; 2], tunnel: &Tunnel) -> Result<()> {
    router.take()?;
    let pings = match tunnel.mode {
        // Both families inside, whatever is outside.
        Mode::Tunnel => [ping(&lab.client_a, CLIENT_B[0], PINGS)?, ping(&lab.client_b, CLIENT_A[1], PINGS)?],
        Mode::Transport => [
            ping(&lab.server_a, tunnel.outer.server(Side::B), PINGS)?,
            ping(&lab.server_b, tunnel.outer.server(Side::A), PINGS)?,
        ],
    };
    let seen = router.take()?;
    ensure!(pings.iter().all(|ping| ping.complete()), "{pings:?}; {seen}");
    ensure!(seen.clear() == 0, "in the clear: {seen}");
    let packets = pings.iter().map(|ping| ping.sent).sum::<u64>();
    for (gateway, here, there) in [(gateways[0], Side::A, Side::B), (gateways[1], Side::B, Side::A)] {
        let ways = [here, there];
        let wire = ways.map(|to| seen.count(Kind::Esp(tunnel.outer.server(to), tunnel.spi(to))));
        let counted = gateway.packets([("in", tunnel.spi(here)), ("out", tunnel.spi(there))])?;
        ensure!((wire, counted) == ([packets; 2], [packets; 2]), "{wire:?} seen, {counted:?} counted");
        let plan = gateway.plan()?;
        // What fits into the tunnel is always said; nothing else is.
        let notes = plan["notes"].as_array().into_iter().flatten().map(|note| &note["kind"]);
        let silent = notes.filter(|kind| *kind != "mtu").count() == 0;
        ensure!(plan["empty"] == true && silent, "a second run would change {plan:#}");
        installed(gateway, tunnel)?;
    }
    Ok(())
}

/// The kernel has these two SAs, with these keys and algorithms, and no other: in the words of iproute2.
fn installed(gateway: &Gateway, tunnel: &Tunnel) -> Result<()> {
    let states = gateway.netns.ip("xfrm state list")?;
    ensure!(states.matches("proto esp spi").count() == 2, "{states}");
    for spi in Side::BOTH.map(|to| tunnel.spi(to)) {
        ensure!(states.contains(&format!("spi {spi:#010x}")), "{spi:#x} is missing");
    }
    ensure!(tunnel.keys().iter().all(|key| states.contains(key)), "a key is not the one configured");
    let words = match tunnel.suite {
        Suite::Cbc96 => ["auth-trunc hmac(sha256)", " 96\n", "enc cbc(aes)"],
        Suite::Cbc128 => ["auth-trunc hmac(sha256)", " 128\n", "enc cbc(aes)"],
        Suite::Gcm => ["aead rfc4106(gcm(aes))", " 128\n", "mode"],
        Suite::Chacha => ["aead rfc7539esp(chacha20,poly1305)", " 128\n", "mode"],
    };
    ensure!(words.iter().all(|word| states.matches(word).count() == 2), "{words:?} twice in {states}");
    Ok(())
}
