//! What the control plane needs with many SAs: a full reading, an update's way to the map, memory.
//!
//! Real SAs where the kernel has ESP, larval ones of `allocspi` elsewhere. The kernel sends no event for the making of
//! a larval SA, but it does for its end: updates are deletions there, and additions too where SAs are real.

use crate::{
    agent::PATIENCE,
    run,
    site::{GATEWAY, NOWHERE, Site},
    wait,
};
use anyhow::{Context as _, Result, ensure};
use esp_agent::datapath::{maps::Maps, read};
use esp_common::{FlowKey, Spi};
use serde_json::{Value, json};
use std::{
    fmt,
    io::Write as _,
    net::IpAddr,
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

const READ_MS: f64 = 500.0;
const UPDATE_MS: f64 = 50.0;
const MEMORY_MIB: f64 = 64.0;
/// Updates that are timed.
const UPDATES: u32 = 50;
const FIRST: u32 = 0x1_0000;
const KEYS: &str = "aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128";

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    sas: u32,
    real: bool,
    kernel: String,
    figures: Vec<Figure>,
}

#[derive(Clone, Debug)]
struct Figure {
    what: &'static str,
    value: f64,
    target: f64,
    unit: &'static str,
}

/// Runs an agent over `sas` SAs in a namespace of its own.
///
/// # Errors
/// Not root, no agent built, or the agent never comes to the kernel's picture.
pub fn run(sas: u32) -> Result<Report> {
    let site = Site::new()?;
    let real = site.gateway.ip(&format!("xfrm {}", added(FIRST - 1))).is_ok();
    site.gateway.ip("xfrm state flush")?;
    fill(&site, sas, real)?;
    let (mut maps_entries, agent) = (NamedTempFile::new()?, site.agent()?);
    writeln!(maps_entries, "[maps]\nsas = {}", (sas * 2).max(16))?;
    let agent = agent.config(maps_entries.path()).start()?;
    let maps = site.maps()?;
    wait::until_ok(PATIENCE, "all SAs in the map", || {
        let seen = read::sas(&maps)?.len();
        ensure!(seen == sas as usize, "{seen} of {sas}");
        Ok(())
    })?;
    let read = gauge(&agent.get("/metrics")?.1, "esp_agent_read_seconds")?;
    let mut updates = Vec::new();
    for spi in (FIRST..FIRST + sas).take(UPDATES as usize) {
        updates.push(timed(
            &site,
            &maps,
            &format!("state delete dst {GATEWAY} proto esp spi {spi:#x}"),
            spi,
            false,
        )?);
        if real {
            updates.push(timed(&site, &maps, &added(spi), spi, true)?);
        }
    }
    updates.sort();
    let at = |part: usize| updates.get((updates.len() - 1) * part / 100).map_or(0.0, |time| millis(*time));
    let figure = |what, value, target, unit| Figure { what, value, target, unit };
    let figures = vec![
        figure("full reading of all SAs and policies", read * 1000.0, READ_MS, "ms"),
        figure("update to the map, median", at(50), UPDATE_MS, "ms"),
        figure("update to the map, worst", at(100), UPDATE_MS, "ms"),
        figure("memory of the agent, now", memory(agent.pid(), "VmRSS:")?, MEMORY_MIB, "MiB"),
        figure("memory of the agent, at most", memory(agent.pid(), "VmHWM:")?, MEMORY_MIB, "MiB"),
    ];
    let kernel = run::text(std::process::Command::new("uname").arg("-r"))?.trim().to_owned();
    Ok(Report { sas, real, kernel, figures })
}

fn added(spi: u32) -> String {
    format!("state add src {NOWHERE} dst {GATEWAY} proto esp spi {spi:#x} reqid 5 mode tunnel {KEYS}")
}

fn fill(site: &Site, sas: u32, real: bool) -> Result<()> {
    let mut batch = NamedTempFile::new()?;
    for spi in FIRST..FIRST + sas {
        if real {
            writeln!(batch, "xfrm {}", added(spi))?;
        } else {
            let ends = format!("src {NOWHERE} dst {GATEWAY} proto esp reqid 5 mode tunnel");
            writeln!(batch, "xfrm state allocspi {ends} min {spi:#x} max {spi:#x}")?;
        }
    }
    run::text(site.gateway.command("ip").arg("-batch").arg(batch.path())).map(drop)
}

/// From the return of `ip` to the map.
fn timed(site: &Site, maps: &Maps, change: &str, spi: u32, there: bool) -> Result<Duration> {
    let key = FlowKey::new(IpAddr::V4(GATEWAY).into(), Spi::new(spi));
    site.gateway.ip(&format!("xfrm {change}"))?;
    let start = Instant::now();
    while read::sa(maps, &key)?.is_some() != there {
        ensure!(start.elapsed() < PATIENCE, "`{change}` never came to the map");
        std::thread::yield_now();
    }
    Ok(start.elapsed())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn gauge(scrape: &str, name: &str) -> Result<f64> {
    let line = scrape.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name}"))?.parse()?)
}

fn memory(pid: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib: f64 = line.with_context(|| format!("no {field}"))?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

impl Report {
    /// As JSON. Fields are only ever added.
    #[must_use]
    pub fn json(&self) -> Value {
        let figures = self.figures.iter().map(|figure| {
            let Figure { what, value, target, unit } = figure;
            json!({ "what": what, "value": value, "target": target, "unit": unit, "met": figure.met() })
        });
        let kind = if self.real { "real" } else { "larval" };
        json!({ "kernel": self.kernel, "sas": self.sas, "kind": kind, "figures": figures.collect::<Vec<_>>() })
    }
}

impl Figure {
    fn met(&self) -> bool {
        self.value <= self.target
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.real { "real" } else { "larval" };
        writeln!(f, "kernel {}, {} {kind} SAs, {UPDATES} of them changed", self.kernel, self.sas)?;
        writeln!(f, "{:<38}{:>12}{:>12}", "", "measured", "target")?;
        for figure in &self.figures {
            let Figure { what, value, target, unit } = figure;
            let met = if figure.met() { "met" } else { "MISSED" };
            writeln!(f, "{what:<38}{value:>8.1} {unit:<3}{target:>8.0} {unit:<3} {met}")?;
        }
        Ok(())
    }
}
