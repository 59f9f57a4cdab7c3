//! What is looked at beside any IKE daemon: SAs that it negotiates anew under traffic are followed, named, counted and
//! guarded, and no guard takes a packet. Each that is lost, a kernel has counted.

use super::{Daemon, pair};
use crate::{
    agent::PATIENCE,
    capture::{Capture, Kind},
    lab::{
        CLIENT_A, CLIENT_B, ENFORCE, Gateway, Lab, Outer, Side, Stream, missing, moved, take_out, xfrm_stat,
    },
    wait::until_ok,
};
use anyhow::{Context, Result, ensure};
use esp_agent::xfrm::{Xfrm as _, netlink::Netlink};
use std::{collections::BTreeSet, time::Instant};

const REKEYS: usize = 50;
/// Rekeys after which the totals are looked at.
const LOOK: usize = 10;
/// Two agents with all guards in enforce beside two daemons that negotiate new SAs under traffic.
///
/// # Errors
/// A guard took a packet, one was lost that no kernel counted, a total went back, an SA had no name.
pub fn rekeys_cost_no_packet<D: Daemon>() -> Result<()> {
    let lab = Lab::new()?;
    let mut a = Gateway::new(&lab, Side::A, &config(Side::B))?;
    let mut b = Gateway::new(&lab, Side::B, &config(Side::A))?;
    Gateway::start_all([&mut a, &mut b])?;
    let gateways = [&a, &b];
    let mut wire = Wire::new(&lab)?;
    let daemons = pair::<D>(&lab)?;
    let stats = [xfrm_stat(&lab.server_a)?, xfrm_stat(&lab.server_b)?];
    let mut streams = [
        Stream::start(&lab.client_a, CLIENT_B[0], "0.02")?,
        Stream::start(&lab.client_b, CLIENT_A[0], "0.02")?,
    ];
    // The first SAs too.
    let mut totals = until_ok(PATIENCE, "packets both ways", || grown(gateways, [[0; 2]; 2]))?;
    let begun = Instant::now();
    for rekey in 0..REKEYS {
        rekey_once(&daemons[rekey % 2], gateways).with_context(|| format!("rekey {rekey}"))?;
        wire.take()?;
        if rekey % LOOK == 0 {
            totals = grown(gateways, totals)?;
        }
    }
    eprintln!("{}: {REKEYS} rekeys in {:?}", daemons[0].version()?, begun.elapsed());

    let mut lost = Vec::new();
    for stream in &mut streams {
        let answered = stream.stop()?;
        ensure!(answered.len() > REKEYS, "only {} pings were answered", answered.len());
        lost.push(missing(&answered));
    }
    eprintln!("pings lost: {lost:?}");
    grown(gateways, totals)?;
    let (mut owned, mut drops) = (0_u64, Vec::new());
    for (gateway, before) in gateways.into_iter().zip(stats) {
        let mut kernel = moved(&before, &xfrm_stat(&gateway.netns)?);
        owned += take_out(&mut kernel, D::LOST_AT_A_REKEY);
        drops.extend(kernel.iter().map(|(name, more)| format!("{}: {name} {more}", gateway.iface)));
        drops.extend(dropped(gateway)?);
        let spis = spis(gateway)?;
        assert!(spis > REKEYS, "{} has seen {spis} SPIs of the tunnel", gateway.iface);
    }
    ensure!(
        drops.is_empty() && lost.concat().len() as u64 <= owned,
        "pings lost {lost:?}, of which the kernel owns to {owned}; {drops:#?}"
    );
    until_ok(PATIENCE, "the last packets to be counted", || {
        wire.take()?;
        all_counted(gateways, wire.seen)
    })
}

/// All guards in enforce; the peer's SAs have a name.
fn config(peer: Side) -> String {
    format!("{ENFORCE}[[name]]\ntunnel = \"site\"\nremote = \"{}\"\n", Outer::V4.server(peer))
}

/// Has one side negotiate new SAs, and waits until both sides send by new ones and the old outbound ones are gone.
fn rekey_once(daemon: &impl Daemon, gateways: [&Gateway; 2]) -> Result<()> {
    let before = [outbound(gateways[0])?, outbound(gateways[1])?];
    daemon.rekey()?;
    until_ok(PATIENCE, "both sides to send by new SAs", || {
        for (gateway, before) in gateways.iter().zip(&before) {
            let now = outbound(gateway)?;
            ensure!(!now.is_empty() && now.is_disjoint(before), "{}: {before:?}, now {now:?}", gateway.iface);
        }
        Ok(())
    })
}

/// The SPIs of the SAs that the gateway sends by.
fn outbound(gateway: &Gateway) -> Result<BTreeSet<u32>> {
    let local = if gateway.iface == "eth5" { Side::A } else { Side::B };
    let sas = gateway.netns.run_in(|| Ok(Netlink::open()?.sas()?))?;
    let ours = sas.iter().filter(|seen| !seen.larval && seen.sa.src == Outer::V4.server(local));
    Ok(ours.map(|seen| seen.sa.id.spi.number()).collect())
}

/// The totals of the tunnel at each gateway, in and out, none of them below what it was.
fn grown(gateways: [&Gateway; 2], before: [[u64; 2]; 2]) -> Result<[[u64; 2]; 2]> {
    let mut totals = before;
    for (gateway, totals) in gateways.into_iter().zip(&mut totals) {
        for (direction, total) in ["in", "out"].into_iter().zip(totals) {
            let labels = [("tunnel", "site"), ("direction", direction)];
            let now = gateway.agent()?.metric("esp_tunnel_packets_total", &labels)?;
            ensure!(now > *total, "{} {direction}: {now} after {total}", gateway.iface);
            *total = now;
        }
    }
    Ok(totals)
}

/// What the agent of a gateway has dropped or lost.
fn dropped(gateway: &Gateway) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for (metric, labels) in [
        ("esp_packets_total", &[("action", "drop")][..]),
        ("esp_guard_hits_total", &[]),
        ("esp_agent_netlink_overruns_total", &[]),
    ] {
        let count = gateway.agent()?.metric(metric, labels)?;
        if count != 0 {
            faults.push(format!("{}: {metric} {count}", gateway.iface));
        }
    }
    Ok(faults)
}

/// SPIs of the tunnel that have come in.
fn spis(gateway: &Gateway) -> Result<usize> {
    let labels = [("direction", "in"), ("tunnel", "site"), ("known", "true")];
    Ok(gateway.agent()?.scrape()?.matching("esp_spi_packets_total", &labels).count())
}

/// What the router saw is what the gateways counted: by SPI, and as a tunnel but for what came before its SA was
/// known.
fn all_counted(gateways: [&Gateway; 2], seen: [u64; 2]) -> Result<()> {
    for (at, gateway) in gateways.into_iter().enumerate() {
        let scrape = gateway.agent()?.scrape()?;
        for (direction, wire) in [("in", seen[at]), ("out", seen[1 - at])] {
            let sum = |metric: &str, labels: &[(&str, &str)]| scrape.sum(metric, labels).unwrap_or(0);
            let of = |known| sum("esp_spi_packets_total", &[("direction", direction), ("known", known)]);
            let (known, early) = (of("true"), of("false"));
            let total = sum("esp_tunnel_packets_total", &[("tunnel", "site"), ("direction", direction)]);
            ensure!(
                total == known && known + early == wire,
                "{} {direction}: tunnel {total}, SPIs {known}, too early {early}, wire {wire}",
                gateway.iface
            );
        }
    }
    Ok(())
}

/// The ESP that the router has seen to either gateway.
struct Wire {
    router: Capture,
    seen: [u64; 2],
}

impl Wire {
    fn new(lab: &Lab) -> Result<Self> {
        Ok(Self { router: lab.watch_router()?, seen: [0; 2] })
    }

    fn take(&mut self) -> Result<()> {
        let traffic = self.router.take()?;
        ensure!(traffic.clear() == 0, "in the clear: {traffic}");
        for (side, seen) in Side::BOTH.into_iter().zip(&mut self.seen) {
            let to = Outer::V4.server(side);
            let esp = |kind: &Kind| matches!(kind, Kind::Esp(dst, _) if *dst == to);
            *seen += traffic.0.iter().filter(|frame| esp(&frame.kind)).count() as u64;
        }
        Ok(())
    }
}
