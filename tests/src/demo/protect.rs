//! From clear text to a tunnel.

use super::{Found, Stage, Table, found};
use crate::{
    attached,
    capture::Kind,
    lab::{CLIENT_B, Outer, SPI, ping, xfrm_objects},
    run,
};
use anyhow::{Result, ensure};
use std::io::{self, Write};

/// Pings for each step.
pub(super) const PINGS: u32 = 4;

pub(super) fn rows(stage: &mut Stage, table: &mut Table<impl Write>) -> io::Result<()> {
    table.row("1  clear text first", "the ping is answered, the router sees plain ICMP", || clear(stage))?;
    table.row("2a no protection, no clear routes", "no answer: clear text cannot pass", || closed(stage))?;
    table.row("2b both configurations", "`check` accepts both", || checked(stage))?;
    let expected = "ready; two SAs, out, in and fwd policies, programs and pins on each";
    table.row("2c agents on both gateways", expected, || start(stage))?;
    let expected = "the ping is answered, the router sees only ESP of SPI 0x69427567, both ways";
    table.row("2d the tunnel", expected, || tunnel(stage))
}

fn clear(stage: &Stage) -> Result<Found> {
    stage.lab.start_clear_phase()?;
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?;
    stage.lab.end_clear_phase()?;
    let seen = stage.router.take()?;
    Ok(found(ping.complete() && seen.count(Kind::Echo) == 2 * ping.sent, format!("{ping}; {seen}")))
}

fn closed(stage: &Stage) -> Result<Found> {
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], 1)?;
    Ok(found(ping.received == 0, ping))
}

fn checked(stage: &Stage) -> Result<Found> {
    let mut said = Vec::new();
    for site in [&stage.a, &stage.b] {
        let mut command = site.binary.command(&site.netns);
        let output = run::output(command.arg("check").arg("-c").arg(site.config()))?;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{}: {stderr}", site.netns.name());
        let lints = String::from_utf8_lossy(&output.stdout).into_owned() + &stderr;
        said.push(format!("{}: exit 0, {} lines of lint", site.netns.name(), lints.lines().count()));
    }
    Ok(found(true, said.join("; ")))
}

fn start(stage: &mut Stage) -> Result<Found> {
    // From here the router's capture and the agents' counters start together.
    stage.router.take()?;
    let (mut ok, mut said) = (true, Vec::new());
    for site in [&mut stage.a, &mut stage.b] {
        site.start()?;
        let objects = xfrm_objects(&site.netns)?;
        let count = |word: &str| objects.matches(word).count();
        let (sas, policies) =
            (count(&format!("spi {SPI:#010x}")), ["dir out", "dir in", "dir fwd"].map(count));
        let (programs, pins) = (attached::programs(&site.netns, site.iface)?, attached::pins(&site.netns)?);
        // XDP, and TC in both directions.
        ok &= sas == 2 && policies == [1; 3] && programs.len() == 3 && !pins.is_empty();
        let pins = pins.len();
        said.push(format!(
            "{}: {sas} SAs, {policies:?} policies, {programs:?}, {pins} pins",
            site.netns.name()
        ));
    }
    Ok(found(ok, said.join("\n")))
}

fn tunnel(stage: &mut Stage) -> Result<Found> {
    let ping = ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?;
    stage.tunnel = stage.router.take()?;
    let seen = &stage.tunnel;
    let ends = [Outer::V4.server_a(), Outer::V4.server_b()];
    let both = ends.map(|end| seen.count(Kind::Esp(end, SPI)));
    let ok = ping.complete() && both == [ping.sent; 2] && seen.clear() == 0;
    Ok(found(ok, format!("{ping}; {seen}")))
}
