//! The agent comes and goes, the datapath stays: no packet and no count is lost.

use anyhow::{Context, Result, ensure};
use esp_agent::datapath::read;
use esp_common::Hook;
use esp_tests::{
    agent::{Agent, Binary, PATIENCE},
    attached,
    frame::Payload,
    probe,
    promtext::Scrape,
    site::{GATEWAY, NOWHERE, OUTSIDE, Site, inbound},
    traffic::Traffic,
    wait,
};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::Write as _,
    path::Path,
    time::Duration,
};
use tempfile::NamedTempFile;

const SPI: u32 = 0x1000;
const ROUNDS: u32 = 4;
/// What an orchestrator waits before it sends SIGKILL is longer.
const STOP: Duration = Duration::from_secs(5);

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn every_packet_is_counted_across_kills_at_any_moment() -> Result<()> {
    let site = site()?;
    let traffic = Traffic::of(SPI, 1);
    // From here on the datapath is there.
    drop(site.agent()?.start()?);
    let sent = std::thread::scope(|scope| {
        let end = traffic.end();
        let sender = scope.spawn(|| traffic.run(&site));
        let mut before = 0;
        for round in 0..ROUNDS {
            let mut agent = site.agent()?.spawn()?;
            // Between the first instruction and well after the start is over.
            let moment = RandomState::new().build_hasher().finish() % 1500;
            traffic.wait_sent(moment).with_context(|| format!("round {round}, {moment} packets"))?;
            agent.kill()?;
            let after = counted_by(&status(&site)?, "xdp")?;
            ensure!(after >= before, "round {round}, {moment} packets: {after} after {before}");
            before = after;
            one_program_for_each_hook(&site).with_context(|| format!("round {round}, {moment} packets"))?;
        }
        drop(end);
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let agent = site.agent()?.start()?;
    let scrape = wait::until_ok(PATIENCE, "the last packets", || {
        let scrape = agent.scrape()?;
        ensure!(packets(&scrape, "tc_ingress") >= sent, "{} of {sent}", packets(&scrape, "tc_ingress"));
        Ok(scrape)
    })?;
    for hook in ["xdp", "tc_ingress"] {
        assert_eq!(packets(&scrape, hook), sent, "{hook}");
    }
    assert_eq!(scrape.sum("esp_spi_packets_total", &[("spi", "0x00001000")]), Some(sent));
    assert_eq!(scrape.sum("esp_packets_total", &[("action", "drop")]), None);
    one_program_for_each_hook(&site)?;
    assert_eq!(links(&site)?.len(), if probe::tc()? == "tcx" { 3 } else { 1 }, "{:?}", links(&site)?);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn after_a_clean_stop_the_datapath_counts_on_and_status_shows_it() -> Result<()> {
    let site = site()?;
    let mut agent = site.agent()?.start()?;
    let far = site.far()?;
    let send =
        |count: u32| (0..count).try_for_each(|seq| far.send(&inbound(&Payload::esp(SPI, seq, 64)).build()));
    send(5)?;
    agent.wait_metric("esp_packets_total", &[("hook", "xdp")], 5)?;
    agent.signal(Signal::SIGTERM)?;
    assert_eq!(agent.wait_exit(STOP)?, 0);
    send(7)?;
    let status = wait::until_ok(PATIENCE, "7 packets more", || {
        let status = status(&site)?;
        ensure!(counted_by(&status, "xdp")? == 12, "{status:#}");
        Ok(status)
    })?;
    assert_eq!(status["agent"], Value::Null);
    assert_eq!(status["interfaces"][0]["attached"], true);
    assert_eq!(status["flows"][0]["packets"], 12);
    assert_eq!(status["guards"]["trusted"], false);
    let agent = site.agent()?.start()?;
    assert_eq!(packets(&agent.scrape()?, "xdp"), 12, "a restart begins where the last one ended");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn what_an_agent_of_another_version_left_is_taken_over_and_no_packet_passes_unseen() -> Result<()> {
    let site = site()?;
    drop(site.agent()?.start()?);
    // Its maps stay readable as long as they are open here.
    let older = site.maps()?;
    site.gateway.run_in(|| {
        let ours = site.instance()?.pin_dir;
        let name = ours.file_name().context("no name")?;
        let versions = ours.ancestors().nth(2).context("no root")?;
        std::fs::create_dir(versions.join("v1"))?;
        Ok(std::fs::rename(&ours, versions.join("v1").join(name))?)
    })?;
    let traffic = Traffic::of(SPI, 1);
    let (agent, sent) = std::thread::scope(|scope| {
        let end = traffic.end();
        let sender = scope.spawn(|| traffic.run(&site));
        traffic.wait_sent(100)?;
        let agent = site.agent()?.start()?;
        traffic.wait_sent(100)?;
        drop(end);
        let sent = sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        anyhow::Ok((agent, sent))
    })?;
    for hook in [Hook::Xdp, Hook::TcIngress] {
        wait::until_ok(PATIENCE, "the last packets", || {
            let rows = read::reasons(&older)?;
            let then: u64 = rows.iter().filter(|row| row.hook == hook).map(|row| row.counter.packets).sum();
            let now = packets(&agent.scrape()?, hook.label());
            ensure!(then > 0 && now > 0 && then + now == sent, "{hook:?}: {then} and {now} of {sent}");
            Ok(())
        })?;
    }
    one_program_for_each_hook(&site)?;
    let pins = attached::pins(&site.gateway)?;
    ensure!(!pins.iter().any(|pin| pin.iter().any(|part| part == "v1")), "{pins:?}");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn sigint_and_a_client_that_stays_connected_do_not_hold_up_the_stop() -> Result<()> {
    let site = site()?;
    let mut agent = site.agent()?.start()?;
    let mut idle = site.gateway.run_in(|| Ok(std::net::TcpStream::connect("127.0.0.1:9754")?))?;
    // Half a request: the server waits for the rest.
    idle.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")?;
    agent.signal(Signal::SIGINT)?;
    assert_eq!(agent.wait_exit(STOP)?, 0, "{}", agent.log());
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn sighup_takes_a_valid_file_and_keeps_the_old_one_against_an_invalid_one() -> Result<()> {
    const KEY: &str = "c0ffee5b1d9f4e6a8237c1d05be94a61";
    let site = site()?;
    let mut config = NamedTempFile::new()?;
    writeln!(config, "[guard]\nunknown_spi = \"observe\"")?;
    let agent = site.agent()?.config(config.path()).start()?;
    assert_eq!(mode_in_force(&agent)?, "observe");

    replace(config.path(), "[guard]\nunknown_spi = \"enforce\"\n")?;
    agent.signal(Signal::SIGHUP)?;
    agent.wait_metric("esp_agent_reloads_total", &[("result", "ok")], 1)?;
    assert_eq!(mode_in_force(&agent)?, "enforce");

    let invalid = format!(
        "[guard]\nunknown_spi = \"off\"\nunknown_sip = \"off\"\n[[tunnel]]\nname = \"b\"\nlocal = \"10.55.55.1\"\nencryption = \"cbc(aes)\"\n[tunnel.in]\nencryption_key = \"0x{KEY}ff\"\n"
    );
    replace(config.path(), &invalid)?;
    agent.signal(Signal::SIGHUP)?;
    agent.wait_metric("esp_agent_reloads_total", &[("result", "failed")], 1)?;
    assert_eq!(mode_in_force(&agent)?, "enforce");
    assert_eq!(agent.metric("esp_agent_reloads_total", &[("result", "ok")])?, 1);
    let log = agent.log();
    for said in ["the old one stays in force", "unknown_sip", "remote"] {
        assert!(log.contains(said), "{said} is not said:\n{log}");
    }
    assert!(!log.to_lowercase().contains(&KEY[..8]), "a key is in the log:\n{log}");
    // `status` reads what the agent writes once a second.
    wait::until_ok(PATIENCE, "the reloads in `status`", || {
        let health = &agent.status_json()?["agent"];
        ensure!(health["reloads_ok"] == 1 && health["reloads_failed"] == 1, "{health:#}");
        Ok(())
    })
}

fn site() -> Result<Site> {
    let site = Site::new()?;
    site.allocate(NOWHERE.into(), GATEWAY.into(), SPI)?;
    Ok(site)
}

fn replace(path: &Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}

fn mode_in_force(agent: &Agent) -> Result<String> {
    let scrape = agent.scrape()?;
    let of = [("guard", "unknown_spi")];
    let mut in_force = scrape.matching("esp_guard_mode", &of).filter(|sample| sample.value > 0.5);
    let mode = in_force.next().and_then(|sample| sample.labels.get("mode")).context("no mode in force")?;
    ensure!(in_force.next().is_none(), "two modes in force");
    Ok(mode.clone())
}

fn packets(scrape: &Scrape, hook: &str) -> u64 {
    scrape.sum("esp_packets_total", &[("iface", OUTSIDE), ("hook", hook)]).unwrap_or(0)
}

fn status(site: &Site) -> Result<Value> {
    Binary::find()?.status_json(&site.gateway)
}

/// Packets at a hook, by `status`.
fn counted_by(status: &Value, hook: &str) -> Result<u64> {
    let rows = status["reasons"].as_array().context("no reasons")?;
    Ok(rows.iter().filter(|row| row["hook"] == hook).filter_map(|row| row["packets"].as_u64()).sum())
}

fn one_program_for_each_hook(site: &Site) -> Result<()> {
    let programs = attached::programs(&site.gateway, OUTSIDE)?;
    for name in ["xdp", "esp_tc_in", "esp_tc_out"] {
        let count = programs.iter().filter(|program| program.contains(name)).count();
        ensure!(count == 1, "{count} of {name}: {programs:#?}");
    }
    Ok(())
}

fn links(site: &Site) -> Result<Vec<std::ffi::OsString>> {
    let dir = site.instance()?.pin_dir.join("links");
    site.gateway.run_in(|| {
        let entries = std::fs::read_dir(&dir).with_context(|| format!("failed to read {}", dir.display()))?;
        Ok(entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?)
    })
}
