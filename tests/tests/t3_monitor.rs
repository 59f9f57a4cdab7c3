//! `esp-agent monitor`: what it prints, how it ends, what it does when events are lost.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    monitor::{Lines, Monitor},
    run,
    site::{GATEWAY, NOWHERE, PEER, Site},
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use tempfile::NamedTempFile;

const SELECTOR: &str = "src 192.168.1.0/24 dst 192.168.2.0/24 dir out";

#[test]
#[ignore = "T3: root, namespaces"]
fn each_event_is_one_line_with_names_and_no_key() -> Result<()> {
    let site = Site::new()?;
    let mut names = NamedTempFile::new()?;
    write!(names, "[[name]]\ntunnel = \"site-b\"\nreqid = 5\n")?;
    let config = names.path().to_str().context("a path")?;
    let (mut monitor, stdout) = Monitor::start(&site.gateway, &["--json", "-c", config])?;
    let lines = Lines::of(stdout);
    lines.subscribed(&site.gateway)?;
    let next = || lines.json();
    site.gateway.ip(&format!("xfrm policy add {SELECTOR} action block"))?;
    ensure!(next()?["event"] == "policy_new");
    site.gateway.ip(&format!("xfrm policy delete {SELECTOR}"))?;
    let line = next()?;
    ensure!(line["event"] == "policy_delete" && line["direction"] == "out", "{line}");
    ensure!(line["selector"] == "192.168.1.0/24 -> 192.168.2.0/24" && line["schema"] == 1, "{line}");
    let time = line["time"].as_str().context("a time")?;
    ensure!(time.len() == 24 && time.ends_with('Z'), "{line}");

    // `allocspi` sends no event, so the SA is not in the picture when it goes: its identity is all there is.
    site.allocate(NOWHERE.into(), GATEWAY.into(), 0x1000)?;
    site.gateway.ip(&format!("xfrm state delete dst {GATEWAY} proto esp spi 0x1000"))?;
    let line = next()?;
    ensure!(line["event"] == "sa_delete" && line["spi"] == "0x00001000", "{line}");
    ensure!(line["dst"] == GATEWAY.to_string() && line["proto"] == 50, "{line}");
    site.gateway.ip(&format!("xfrm policy add {SELECTOR} action block"))?;
    ensure!(next()?["event"] == "policy_new");
    site.gateway.ip("xfrm policy flush")?;
    let line = next()?;
    ensure!(line["event"] == "policy_flush" && line["policies"] == 1, "{line}");

    monitor.signal(Signal::SIGTERM)?;
    ensure!(monitor.ended()?.success(), "SIGTERM is no failure");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn what_is_there_at_the_start_is_known_by_name() -> Result<()> {
    let site = Site::new()?;
    let mut names = NamedTempFile::new()?;
    write!(names, "[[name]]\ntunnel = \"site-b\"\nremote = \"{NOWHERE}\"\n")?;
    site.allocate(NOWHERE.into(), GATEWAY.into(), 0x1000)?;
    let config = names.path().to_str().context("a path")?;
    let (mut monitor, stdout) = Monitor::start(&site.gateway, &["-c", config])?;
    let lines = Lines::of(stdout);
    lines.subscribed(&site.gateway)?;
    site.gateway.ip(&format!("xfrm state delete dst {GATEWAY} proto esp spi 0x1000"))?;
    let line = lines.text()?;
    let words = format!(
        " sa_delete          site-b {NOWHERE} -> {GATEWAY} dir in spi 0x00001000 tunnel reqid 5 deleted larval"
    );
    ensure!(line.ends_with(&words), "{line}");
    monitor.signal(Signal::SIGINT)?;
    ensure!(monitor.ended()?.success(), "SIGINT is no failure");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_closed_pipe_ends_it_without_a_word() -> Result<()> {
    let site = Site::new()?;
    let (mut monitor, stdout) = Monitor::start(&site.gateway, &[])?;
    drop(stdout);
    // What it prints must find the pipe closed.
    let status = monitor.ended_after(|| site.gateway.ip("xfrm policy setdefault in accept").map(drop))?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_reader_that_is_too_slow_is_told_what_it_missed() -> Result<()> {
    const EVENTS: u32 = 5_000;
    let site = Site::new()?;
    let (_monitor, stdout) = Monitor::start(&site.gateway, &["--json", "--netlink-buffer", "65536"])?;
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    let mut batch = NamedTempFile::new()?;
    for number in 0..EVENTS {
        writeln!(
            batch,
            "xfrm policy update {SELECTOR} priority {number} tmpl src {GATEWAY} dst {PEER} proto esp mode tunnel"
        )?;
    }
    // Nobody reads meanwhile: first the pipe is full, then the socket. Again, should the monitor not have begun.
    let mut overrun = false;
    while !overrun {
        run::text(site.gateway.command("ip").arg("-batch").arg(batch.path()))?;
        site.gateway.ip("xfrm policy setdefault in block")?;
        line.clear();
        while !line.contains("policy_default") && !overrun {
            line.clear();
            ensure!(reader.read_line(&mut line)? > 0, "it ended");
            overrun = line.contains("\"event\":\"overrun\"");
        }
    }
    line.clear();
    reader.read_line(&mut line)?;
    let resync: Value = serde_json::from_str(&line)?;
    ensure!(resync["event"] == "resync" && resync["policies"] == 1, "{line}");
    Ok(())
}
