//! What others do to real SAs: printed as it happens, by the name of the tunnel, remembered when they are gone, and
//! counted for the tunnel across a rekey by hand.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::PATIENCE,
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, batch, ping},
    monitor::{Lines, Monitor},
    wait::until_ok,
};
use serde_json::Value;
use std::io::Write as _;
use tempfile::NamedTempFile;

const PINGS: u32 = 3;
const NAME: &str = "[[name]]\ntunnel = \"site\"\nremote = \"10.66.66.1\"\n";

#[test]
#[ignore = "T4: root, ESP"]
fn each_event_has_its_line_and_each_sa_that_is_gone_its_cause() -> Result<()> {
    let lab = Lab::new()?;
    let mut a = Gateway::new(&lab, Side::A, NAME)?;
    a.start()?;
    let names = named()?;
    let config = names.path().to_str().context("a path")?;
    let (_monitor, stdout) = Monitor::start(&a.netns, &["--json", "-c", config])?;
    let lines = Lines::of(stdout);
    lines.subscribed(&a.netns)?;

    let first = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    for (netns, side) in [(&lab.server_a, Side::A), (&lab.server_b, Side::B)] {
        first.by_hand(netns, side)?;
    }
    for to in Side::BOTH {
        let line = lines.of_event("sa_new")?;
        ensure!(is(&line, &first, to) && line["direction"] == direction(to), "{line}");
    }
    ensure!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete(), "the first SAs do not work");
    let totals = totals(&a, [0; 2], 1)?;

    let second = rekeyed(&lab, &first)?;
    for to in Side::BOTH {
        ensure!(is(&lines.of_event("sa_new")?, &second, to));
    }
    for to in Side::BOTH {
        let line = lines.of_event("sa_delete")?;
        ensure!(is(&line, &first, to) && line["cause"] == "rekeyed", "{line}");
    }
    ensure!(ping(&lab.client_b, CLIENT_A[0], PINGS)?.complete(), "the second SAs do not work");
    self::totals(&a, totals, u64::from(PINGS))?;

    limited(&lab, &a, &lines, &second)?;
    acquired(&lab, &lines)?;

    a.netns.ip("xfrm state flush")?;
    let line = lines.of_event("sa_flush")?;
    ensure!(line["sas"].as_u64() > Some(0), "{line}");
    a.netns.ip("xfrm policy flush")?;
    ensure!(lines.of_event("policy_flush")?["policies"].as_u64() > Some(0));
    let gone = [(&first, Side::A, "rekeyed"), (&second, Side::B, "expired"), (&second, Side::A, "flushed")];
    buried(&a, gone)
}

/// The peer's NAT gives it another port: packets come through an SA from where it did not expect them.
#[test]
#[ignore = "T4: root, ESP"]
fn a_peer_with_another_port_is_a_mapping() -> Result<()> {
    let lab = Lab::new()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    let mut a = Gateway::new(&lab, Side::A, &tunnel.config(Side::A, "encap = { keepalive = \"off\" }"))?;
    let moved = "encap = { local_port = 14500, keepalive = \"off\" }";
    let mut b = Gateway::new(&lab, Side::B, &tunnel.config(Side::B, moved))?;
    Gateway::start_all([&mut a, &mut b])?;
    let names = named()?;
    let config = names.path().to_str().context("a path")?;
    let (_monitor, stdout) = Monitor::start(&a.netns, &["--json", "-c", config])?;
    let lines = Lines::of(stdout);
    lines.subscribed(&a.netns)?;
    // The answer goes to the port of the file, where nobody is: what matters is what came in.
    ping(&lab.client_b, CLIENT_A[0], 1)?;
    let line = lines.of_event("mapping")?;
    ensure!(is(&line, &tunnel, Side::A), "{line}");
    ensure!(line["old"] == "10.66.66.1:4500" && line["new"] == "10.66.66.1:14500", "{line}");
    Ok(())
}

fn named() -> Result<NamedTempFile> {
    let mut names = NamedTempFile::new()?;
    names.write_all(NAME.as_bytes())?;
    Ok(names)
}

/// The line is about the SA of a tunnel that goes to a gateway, and has the name.
fn is(line: &Value, tunnel: &Tunnel, to: Side) -> bool {
    line["spi"] == format!("{:#010x}", tunnel.spi(to)) && line["tunnel"] == "site"
}

const fn direction(to: Side) -> &'static str {
    match to {
        Side::A => "in",
        Side::B => "out",
    }
}

/// New SAs on both gateways before the old ones go, as an IKE daemon does it.
fn rekeyed(lab: &Lab, old: &Tunnel) -> Result<Tunnel> {
    let new = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    for netns in [&lab.server_a, &lab.server_b] {
        batch(netns, &Side::BOTH.map(|to| new.state(to)).join("\n"))?;
    }
    for netns in [&lab.server_a, &lab.server_b] {
        for to in Side::BOTH {
            netns.ip(&format!("xfrm state delete {}", id(old, to)))?;
        }
    }
    Ok(new)
}

fn id(tunnel: &Tunnel, to: Side) -> String {
    format!("dst {} proto esp spi {:#x}", tunnel.outer.server(to), tunnel.spi(to))
}

/// Totals of the tunnel, in and out, each at least so much more than before.
fn totals(a: &Gateway, before: [u64; 2], more: u64) -> Result<[u64; 2]> {
    until_ok(PATIENCE, "the totals to grow", || {
        let mut now = [0; 2];
        for (direction, now) in ["in", "out"].into_iter().zip(&mut now) {
            let labels = [("tunnel", "site"), ("direction", direction)];
            *now = a.agent()?.metric("esp_tunnel_packets_total", &labels)?;
        }
        ensure!(
            now.iter().zip(before).all(|(now, before)| *now >= before + more),
            "{before:?}, then {now:?}"
        );
        Ok(now)
    })
}

/// The outbound SA gets limits: it reaches the soft one, then the hard one.
fn limited(lab: &Lab, a: &Gateway, lines: &Lines, tunnel: &Tunnel) -> Result<()> {
    let state = tunnel.state(Side::B).replace("state add", "state update");
    // Of what it carries from now on and before.
    batch(&a.netns, &format!("{state} limit packet-soft {} limit packet-hard {}", PINGS + 1, PINGS + 3))?;
    ensure!(is(&lines.of_event("sa_update")?, tunnel, Side::B));
    ping(&lab.client_a, CLIENT_B[0], 2 * PINGS)?;
    let line = lines.of_event("sa_expire_soft")?;
    ensure!(is(&line, tunnel, Side::B) && line["packets"].as_u64() >= Some(u64::from(PINGS)), "{line}");
    let line = lines.of_event("sa_expire_hard")?;
    ensure!(is(&line, tunnel, Side::B) && line["cause"] == "expired", "{line}");
    Ok(())
}

/// A packet that a policy protects and no SA fits.
fn acquired(lab: &Lab, lines: &Lines) -> Result<()> {
    ping(&lab.client_a, CLIENT_B[0], 1)?;
    let line = lines.of_event("acquire")?;
    ensure!(line["dst"] == "10.66.66.1" && line["proto"] == 50, "{line}");
    ensure!(line["selector"].as_str().is_some_and(|text| text.contains("192.168.2.2")), "{line}");
    Ok(())
}

/// Each of these SAs has left a stone with its cause and a time that is not long ago.
fn buried(a: &Gateway, gone: [(&Tunnel, Side, &str); 3]) -> Result<()> {
    until_ok(PATIENCE, "the stones", || {
        let status = a.agent()?.status_json()?;
        let now = status["now_unix_s"].as_u64().context("no time")?;
        let stones = status["tombstones"].as_array().context("no stones")?;
        for (tunnel, to, cause) in gone {
            let spi = format!("{:#010x}", tunnel.spi(to));
            let stone =
                stones.iter().find(|stone| stone["spi"] == spi).with_context(|| format!("no {spi}"))?;
            ensure!(stone["cause"] == cause && stone["tunnel"] == "site", "{stone}");
            let when = stone["gone_unix_s"].as_u64().context("when")?;
            ensure!((when..when + 300).contains(&now), "{stone} at {now}");
        }
        Ok(())
    })
}
