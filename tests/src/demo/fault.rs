//! Drops on purpose, and whether they are named.

use super::{Found, Stage, Table, found, protect::PINGS};
use crate::{
    frame::{Frame, Ipv4, Payload},
    lab::{CLIENT_B, moved, ping, xfrm_stat},
    link::mac,
    run,
    wire::Wire,
};
use anyhow::{Context, Result};
use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr},
};

/// An SPI that no SA has.
const WRONG_SPI: u32 = 0xdead_beef;
/// What the kernel counts when a decrypted packet has no policy.
const NO_POLICY: &str = "XfrmInNoPols";

pub(super) fn rows(stage: &mut Stage, table: &mut Table<impl Write>) -> io::Result<()> {
    let expected = "no answer; XfrmInNoPols moves by the replies, in /proc and in the scrape";
    table.row("5a the fwd policy of server-a deleted", expected, || dropped(stage))?;
    table.row("5b status says why", "it names XfrmInNoPols and the `fwd` policy", || explained(stage))?;
    table.row("5c the agent started again", "the policy is back, the ping is answered", || healed(stage))?;
    let expected = "one unknown_spi at XDP, one ghost, one XfrmInNoStates";
    table.row("6  a packet with a wrong SPI to server-a", expected, || wrong_spi(stage))?;
    table.row("7  status", "the agent, its interface, tunnel, SAs and the ghost", || status(stage))
}

fn dropped(stage: &Stage) -> Result<Found> {
    let site = &stage.a;
    let labels = [("name", NO_POLICY)];
    let (before, mirror) = (xfrm_stat(&site.netns)?, site.agent()?.metric("esp_xfrm_stat_total", &labels)?);
    site.netns.ip("xfrm policy delete src 192.168.2.0/24 dst 192.168.1.0/24 dir fwd")?;
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?;
    let grown = moved(&before, &xfrm_stat(&site.netns)?);
    let mirrored = site.agent()?.wait_metric("esp_xfrm_stat_total", &labels, mirror + ping.sent)?;
    let only = grown.len() == 1 && grown.get(NO_POLICY) == Some(&ping.sent);
    let ok = ping.received == 0 && only && mirrored == mirror + ping.sent;
    Ok(found(ok, format!("{ping}; /proc {grown:?}; scrape {mirror} -> {mirrored}")))
}

fn explained(stage: &Stage) -> Result<Found> {
    let text = status_text(stage)?;
    let at = text.lines().position(|line| line.contains(NO_POLICY)).context("status is silent about it")?;
    let said: Vec<_> = text.lines().skip(at).take(2).map(str::trim).collect();
    Ok(found(said.concat().contains("fwd"), said.join("\n")))
}

fn healed(stage: &mut Stage) -> Result<Found> {
    let code = stage.a.stop()?;
    stage.a.start()?;
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?;
    Ok(found(code == 0 && ping.complete(), format!("exit {code}; {ping}")))
}

fn wrong_spi(stage: &Stage) -> Result<Found> {
    let site = &stage.a;
    let before = xfrm_stat(&site.netns)?;
    let router = Wire::open(&stage.lab.router, "eth5")?;
    let (from, to) = (Ipv4Addr::new(10, 55, 55, 55), Ipv4Addr::new(10, 55, 55, 1));
    let macs = [from, to].map(|addr| mac(IpAddr::V4(addr)));
    let frame = Frame::v4(&Ipv4::new(from, to), &Payload::esp(WRONG_SPI, 1, 96)).macs(macs[0], macs[1]);
    router.send(&frame.build())?;
    let agent = site.agent()?;
    let spi = format!("{WRONG_SPI:#010x}");
    let ghost = agent.wait_metric("esp_spi_packets_total", &[("spi", &spi), ("known", "false")], 1)?;
    // A kernel before 6.8 cannot be asked whether an SPI that was never seen has an SA by now.
    let count = |reason| agent.metric("esp_packets_total", &[("hook", "xdp"), ("reason", reason)]);
    let reason = count("unknown_spi")? + count("unknown_unsynced")?;
    let grown = moved(&before, &xfrm_stat(&site.netns)?);
    let ok = (reason, ghost) == (1, 1) && grown.get("XfrmInNoStates") == Some(&1);
    Ok(found(ok, format!("unknown_spi {reason}, {spi} {ghost}, /proc {grown:?}")))
}

fn status(stage: &Stage) -> Result<Found> {
    let text = status_text(stage)?;
    let wanted = [stage.a.iface, stage.a.tunnel, "0x69427567", "0xdeadbeef", "running"];
    Ok(found(wanted.iter().all(|word| text.contains(word)), text))
}

fn status_text(stage: &Stage) -> Result<String> {
    run::text(stage.a.binary.command(&stage.a.netns).arg("status"))
}
