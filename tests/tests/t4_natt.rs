//! ESP in UDP between two agents and nothing else: they hold the sockets, their keepalives open the way through a NAT,
//! and a socket of another program is left to it.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::PATIENCE,
    capture::{Capture, Kind},
    lab::{
        CLIENT_A, CLIENT_B, ENFORCE, Gateway, Lab, Mode, Outer, Ping, Side, Suite, Tunnel, ping, xfrm_stat,
    },
    run,
    wait::until_ok,
};
use std::net::{IpAddr, UdpSocket};

const PINGS: u32 = 3;
/// Site A behind the router, as site B sees it.
const NAT: &str = "table ip nat { chain out { type nat hook postrouting priority srcnat; \
                   oifname eth6 ip saddr 10.55.55.1 udp sport 4500 snat to 10.66.66.66:14500; }; }";

#[test]
#[ignore = "T4: root, ESP"]
fn two_agents_speak_through_a_nat_without_an_ike_daemon() -> Result<()> {
    let lab = Lab::new()?;
    run::text(lab.router.command("nft").arg(NAT))?;
    let router = lab.watch_router()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    let encap = "encap = { keepalive = \"1s\" }";
    let mut a = Gateway::new(&lab, Side::A, &config(&tunnel, Side::A, encap))?;
    // Its own keepalives would go nowhere before the other side has opened the way.
    let behind = "encap = { remote_port = 14500, keepalive = \"off\" }";
    let theirs =
        config(&tunnel, Side::B, behind).replace("remote = \"10.55.55.1\"", "remote = \"10.66.66.66\"");
    let mut b = Gateway::new(&lab, Side::B, &theirs)?;
    let stats = [xfrm_stat(&lab.server_a)?, xfrm_stat(&lab.server_b)?];

    let taken = lab.server_a.run_in(|| Ok(UdpSocket::bind("10.55.55.1:4500")?))?;
    Gateway::start_all([&mut a, &mut b])?;
    left_to_another(&a)?;
    drop(taken);
    until_ok(PATIENCE, "the socket to be held", || {
        ensure!(udp(&a)? == [("10.55.55.1:4500".to_owned(), true)], "{:?}", udp(&a)?);
        Ok(())
    })?;
    until_ok(PATIENCE, "a keepalive through the NAT", || {
        ensure!(b.reason("xdp", "nat_keepalive")?[0] > 0, "none has come to {}", b.iface);
        Ok(())
    })?;
    // From the outside: only a keepalive has opened the way.
    let a_sees = Outer::V4.server(Side::B);
    let outside: IpAddr = "10.66.66.66".parse()?;
    let to = |side| if side == Side::A { outside } else { a_sees };
    passes(&lab, &router, [&a, &b], &tunnel, to)?;

    run::text(lab.router.command("nft").args(["delete", "table", "ip", "nat"]))?;
    for (outer, mode) in [(Outer::V6, Mode::Tunnel), (Outer::V4, Mode::Transport)] {
        let tunnel = Tunnel::new(outer, Suite::Gcm, mode)?;
        a.reload(&config(&tunnel, Side::A, encap))?;
        b.reload(&config(&tunnel, Side::B, encap))?;
        passes(&lab, &router, [&a, &b], &tunnel, |side| outer.server(side))
            .with_context(|| format!("{outer:?}, {mode:?}"))?;
    }
    for (gateway, before) in [&a, &b].into_iter().zip(stats) {
        let after = xfrm_stat(&gateway.netns)?;
        ensure!(after == before, "the kernel of {} has dropped: {before:?}, then {after:?}", gateway.iface);
    }
    closed_with_the_agent(&lab, &mut a)
}

fn config(tunnel: &Tunnel, at: Side, encap: &str) -> String {
    format!("{ENFORCE}{}", tunnel.config(at, encap))
}

/// Local ends of `status`, and whether the agent has them.
fn udp(gateway: &Gateway) -> Result<Vec<(String, bool)>> {
    let status = gateway.agent()?.status_json()?;
    let rows = status["agent"]["udp"].as_array().context("no rows")?;
    let row = |row: &serde_json::Value| Some((row["local"].as_str()?.to_owned(), row["held"].as_bool()?));
    rows.iter().map(|each| row(each).with_context(|| format!("{each}"))).collect()
}

/// The port is another program's: that is told, and the agent runs on.
fn left_to_another(a: &Gateway) -> Result<()> {
    ensure!(udp(a)? == [("10.55.55.1:4500".to_owned(), false)], "{:?}", udp(a)?);
    let status = run::text(a.binary.command(&a.netns).arg("status"))?;
    ensure!(status.contains("10.55.55.1:4500: in use by another program"), "{status}");
    Ok(())
}

/// Pings both ways go as ESP in UDP, each counted, none dropped, and nothing else of them is on the wire.
fn passes(
    lab: &Lab,
    router: &Capture,
    gateways: [&Gateway; 2],
    tunnel: &Tunnel,
    to: impl Fn(Side) -> IpAddr,
) -> Result<()> {
    router.take()?;
    // A keepalive to a gateway that has not been reloaded yet is answered in the clear: port unreachable.
    let before = [hits(gateways[0])?, hits(gateways[1])?];
    let pings = pings(lab, tunnel)?;
    let seen = router.take()?;
    ensure!(pings.iter().all(Ping::complete), "{pings:?}; {seen}");
    ensure!(seen.clear() == 0, "in the clear: {seen}");
    let after = [hits(gateways[0])?, hits(gateways[1])?];
    ensure!(after == before, "the guards have met {before:?}, then {after:?}");
    let all = 2 * u64::from(PINGS);
    for (gateway, here, there) in [(gateways[0], Side::A, Side::B), (gateways[1], Side::B, Side::A)] {
        let wire = seen.count(Kind::NattEsp(to(here), tunnel.spi(here)));
        let counted = gateway.packets([("in", tunnel.spi(here)), ("out", tunnel.spi(there))])?;
        ensure!((wire, counted) == (all, [all; 2]), "{wire} seen, {counted:?} counted: {seen}");
        ensure!(gateway.plan()?["empty"] == true, "a second run would change {:#}", gateway.plan()?);
    }
    Ok(())
}

/// What the guards of a gateway have met and dropped.
fn hits(gateway: &Gateway) -> Result<[u64; 2]> {
    let agent = gateway.agent()?;
    let dropped = agent.metric("esp_packets_total", &[("action", "drop")])?;
    Ok([agent.metric("esp_guard_hits_total", &[])?, dropped])
}

/// From site B first: nobody behind the NAT has sent anything but keepalives.
fn pings(lab: &Lab, tunnel: &Tunnel) -> Result<[Ping; 2]> {
    let server = |side| tunnel.outer.server(side);
    match tunnel.mode {
        Mode::Tunnel => {
            Ok([ping(&lab.client_b, CLIENT_A[0], PINGS)?, ping(&lab.client_a, CLIENT_B[0], PINGS)?])
        }
        Mode::Transport => {
            Ok([ping(&lab.server_b, server(Side::A), PINGS)?, ping(&lab.server_a, server(Side::B), PINGS)?])
        }
    }
}

/// The socket is the agent's: without it the kernel does not find the ESP in the UDP.
fn closed_with_the_agent(lab: &Lab, a: &mut Gateway) -> Result<()> {
    ensure!(a.take_agent()?.stop()? == 0, "the agent did not stop");
    let pings = ping(&lab.server_b, Outer::V4.server(Side::A), 1)?;
    ensure!(pings.received == 0, "it needs no socket: {pings}");
    a.start()?;
    let pings = ping(&lab.server_b, Outer::V4.server(Side::A), 1)?;
    ensure!(pings.complete(), "{pings} with the socket back");
    Ok(())
}
