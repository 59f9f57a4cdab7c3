//! The counters against what the router saw.

use super::{Found, Stage, Table, found, site::DIRECTIONS};
use crate::{
    capture::{Kind, Traffic},
    lab::{Outer, SPI},
    promtext::Scrape,
};
use anyhow::{Context, Result};
use std::{
    io::{self, ErrorKind, Write},
    process::{Command, Stdio},
};

/// What each gateway's scrape has to have.
const FAMILIES: [&str; 8] = [
    "esp_packets_total",
    "esp_spi_packets_total",
    "esp_spi_bytes_total",
    "esp_tunnel_packets_total",
    "esp_tunnel_bytes_total",
    "esp_sas",
    "esp_xfrm_stat_total",
    "esp_agent_build_info",
];

pub(super) fn rows(stage: &mut Stage, table: &mut Table<impl Write>) -> io::Result<()> {
    let expected = "packets and bytes of both directions are those of the router's capture";
    table.row("3a per-SPI counters at server-a", expected, || counters(stage, true))?;
    table.row("3b per-SPI counters at server-b", expected, || counters(stage, false))?;
    table.row("4a the scrape", "all families, and the tunnels' counters equal the SPIs'", || {
        families(stage)
    })?;
    table.row("4b promtool check metrics", "silent", || promtool(stage))
}

fn counters(stage: &Stage, at_a: bool) -> Result<Found> {
    let (a, b) = (Outer::V4.server_a(), Outer::V4.server_b());
    let (site, own, peer) = if at_a { (&stage.a, a, b) } else { (&stage.b, b, a) };
    let counted = site.flows()?;
    let (mut ok, mut said) = (true, Vec::new());
    for (direction, dst) in DIRECTIONS.into_iter().zip([own, peer]) {
        let wire = on_the_wire(&stage.tunnel, Kind::Esp(dst, SPI));
        let (packets, bytes) = counted[direction];
        ok &= packets > 0 && (packets, bytes) == wire;
        said.push(format!("{direction} {packets} packets {bytes} bytes, router {} {}", wire.0, wire.1));
    }
    Ok(found(ok, said.join("; ")))
}

fn on_the_wire(traffic: &Traffic, kind: Kind) -> (u64, u64) {
    let frames = traffic.0.iter().filter(|seen| seen.kind == kind);
    frames.fold((0, 0), |(packets, bytes), seen| (packets + 1, bytes + seen.frame.len() as u64))
}

fn families(stage: &Stage) -> Result<Found> {
    let (mut ok, mut said) = (true, Vec::new());
    for site in [&stage.a, &stage.b] {
        let scrape = site.agent()?.scrape()?;
        let missing: Vec<_> = FAMILIES.into_iter().filter(|name| !scrape.types.contains_key(*name)).collect();
        let flows = site.flows()?;
        let tunnels = DIRECTIONS.map(|way| tunnel(&scrape, site.tunnel, way));
        ok &= missing.is_empty() && tunnels == DIRECTIONS.map(|way| flows[way].0);
        let samples = scrape.samples.len();
        said.push(format!(
            "{}: {samples} samples, missing {missing:?}, tunnel {} in {} out {}",
            site.netns.name(),
            site.tunnel,
            tunnels[0],
            tunnels[1]
        ));
    }
    Ok(found(ok, said.join("\n")))
}

fn tunnel(scrape: &Scrape, name: &str, direction: &str) -> u64 {
    scrape.sum("esp_tunnel_packets_total", &[("tunnel", name), ("direction", direction)]).unwrap_or(0)
}

fn promtool(stage: &Stage) -> Result<Found> {
    let text = stage.a.agent()?.scrape()?.text;
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(found(true, "NOT CHECKED: promtool is not installed (package prometheus)"));
        }
        Err(error) => return Err(error).context("failed to start promtool"),
    };
    child.stdin.take().context("no standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    let silent = output.status.success() && said.is_empty();
    Ok(found(silent, if silent { "silent".into() } else { String::from_utf8_lossy(&said).into_owned() }))
}
