//! While packets come without a pause: maps get other sizes, and the link goes down and up.

use anyhow::{Context as _, Result, ensure};
use esp_tests::{
    agent::{Agent, PATIENCE},
    attached,
    promtext::Scrape,
    site::{GATEWAY, NOWHERE, OUTSIDE, Site},
    tally::{reasons, total},
    traffic::Traffic,
    wait,
};
use std::{io::Write as _, path::Path};
use tempfile::NamedTempFile;

const SPI: u32 = 0x1000;
const SAS: u32 = 5;
/// Packets between two changes.
const SOME: u64 = 100;

fn site() -> Result<Site> {
    let site = Site::new()?;
    (SPI..SPI + SAS).try_for_each(|spi| site.allocate(NOWHERE.into(), GATEWAY.into(), spi))?;
    Ok(site)
}

fn start(site: &Site, config: &Path) -> Result<Agent> {
    site.agent()?.config(config).start()
}

/// The scrape after so many packets have passed TC ingress, where those of XDP come too.
fn all_counted(agent: &Agent, packets: u64) -> Result<Scrape> {
    wait::until_ok(PATIENCE, "the last packets", || {
        let scrape = agent.scrape()?;
        let seen = total(&scrape, OUTSIDE, "tc_ingress").0;
        ensure!(seen >= packets, "{seen} of {packets}");
        Ok(scrape)
    })
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn maps_of_other_sizes_lose_no_packet_and_no_sa() -> Result<()> {
    let site = site()?;
    let mut config = NamedTempFile::new()?;
    writeln!(config, "[guard]\nunknown_spi = \"enforce\"")?;
    let mut agent = start(&site, config.path())?;
    let traffic = Traffic::of(SPI, SAS);
    let sent = std::thread::scope(|scope| {
        let end = traffic.end();
        let sender = scope.spawn(|| traffic.run(&site));
        for (sas, flows, ghosts) in [(20_000, 4_096, 512), (64, 128, 64), (30_000, 8_192, 4_096)] {
            traffic.wait_sent(SOME)?;
            let text = format!(
                "[guard]\nunknown_spi = \"enforce\"\n[maps]\nsas = {sas}\nflows = {flows}\nghosts = {ghosts}\n"
            );
            std::fs::write(config.path(), text)?;
            assert_eq!(agent.stop()?, 0);
            traffic.wait_sent(SOME)?;
            agent = start(&site, config.path()).with_context(|| format!("{sas} SAs"))?;
        }
        traffic.wait_sent(SOME)?;
        drop(end);
        sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let scrape = all_counted(&agent, sent)?;
    // Each packet is of an SA all the time, at both hooks, and in one reason.
    for hook in ["xdp", "tc_ingress"] {
        let seen = reasons(&scrape, OUTSIDE, hook);
        ensure!(total(&scrape, OUTSIDE, hook).0 == sent, "{sent} sent: {seen:?}");
    }
    let known = ["esp_known".to_owned(), "pass".to_owned()];
    ensure!(reasons(&scrape, OUTSIDE, "xdp").keys().eq([&known]), "{:?}", reasons(&scrape, OUTSIDE, "xdp"));
    for spi in SPI..SPI + SAS {
        let of = [("spi", &*format!("{spi:#010x}")), ("known", "true")];
        let turns = (sent + u64::from(SPI + SAS - 1 - spi)) / u64::from(SAS);
        assert_eq!(scrape.sum("esp_spi_packets_total", &of), Some(turns), "{spi:#x} of {sent}");
        for metric in ["lost_total", "missing", "late_total", "duplicate_total", "restarts_total"] {
            let told = scrape.sum(&format!("esp_sequence_{metric}"), &of[..1]);
            assert_eq!(told, Some(0), "{metric} of {spi:#x}");
        }
    }
    Ok(())
}

/// Packets that the kernel has received by the outside interface.
fn received(site: &Site) -> Result<u64> {
    site.gateway.run_in(|| {
        let path = format!("/sys/class/net/{OUTSIDE}/statistics/rx_packets");
        Ok(std::fs::read_to_string(path)?.trim().parse()?)
    })
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_link_that_goes_down_and_up_keeps_its_programs_and_counts_all_that_it_receives() -> Result<()> {
    for mode in ["native", "generic", "tc"] {
        let site = site()?;
        let before = received(&site)?;
        let mut agent = site.agent()?.arg("--attach").arg(mode).start()?;
        let first = received(&site)?;
        ensure!(first == before, "{mode}: {} packets came before any was sent", first - before);
        let programs = attached::programs(&site.gateway, OUTSIDE)?;
        let traffic = Traffic::of(SPI, SAS);
        let sent = std::thread::scope(|scope| {
            let end = traffic.end();
            let sender = scope.spawn(|| traffic.run(&site));
            for round in 1..=5 {
                traffic.wait_sent(SOME)?;
                site.gateway.ip(&format!("link set {OUTSIDE} down"))?;
                traffic.wait_sent(SOME)?;
                site.gateway.ip(&format!("link set {OUTSIDE} up"))?;
                let passed = received(&site)?;
                wait::until_ok(PATIENCE, &format!("traffic in round {round}"), || {
                    ensure!(received(&site)? >= passed + SOME, "{mode}: {} packets", received(&site)?);
                    Ok(())
                })?;
            }
            drop(end);
            sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        ensure!(attached::programs(&site.gateway, OUTSIDE)? == programs, "{mode}: the programs have changed");
        let hook = if mode == "tc" { "tc_ingress" } else { "xdp" };
        wait::until_ok(PATIENCE, "all that was received", || {
            let (counted, received) = (total(&agent.scrape()?, OUTSIDE, hook).0, received(&site)? - before);
            ensure!(counted == received, "{mode}: {counted} counted, {received} received, {sent} sent");
            Ok(())
        })?;
        assert_eq!(agent.stop()?, 0);
    }
    Ok(())
}
