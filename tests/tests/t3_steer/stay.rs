//! SAs keep their CPU: over a restart, over a table of another size; and change it when the configuration says so.

use super::{by_cpu, config, lanes, packets_at, send, site, start};
use anyhow::{Context as _, Result, ensure};
use esp_tests::{
    agent::{Binary, PATIENCE},
    attached, run, wait,
};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_restart_and_a_table_of_another_size_keep_the_assignment() -> Result<()> {
    let site = site(7)?;
    let plain = config("[steer]\ncpus = \"0-1\"\n")?;
    let mut agent = start(&site, "native", &plain)?;
    let before = lanes(&site)?;
    assert_eq!(before.values().flatten().count(), 7);
    agent.kill()?;
    // One that went while nobody looked: the count is uneven now, which is no reason to move.
    let (gone, _) = before.iter().find(|(_, cpu)| **cpu == Some(0)).expect("an SA on CPU 0");
    site.gateway.ip(&format!("xfrm state delete dst 10.55.55.1 proto esp spi {gone:#x}"))?;
    let kept: BTreeMap<_, _> = before.iter().filter(|(spi, _)| *spi != gone).map(|(a, b)| (*a, *b)).collect();
    let mut agent = start(&site, "native", &plain)?;
    assert_eq!(lanes(&site)?, kept);
    assert_eq!(agent.stop()?, 0);
    let larger = config("[steer]\ncpus = \"0-1\"\n[maps]\nsas = 30000\n")?;
    let agent = start(&site, "native", &larger)?;
    assert_eq!(lanes(&site)?, kept);
    assert_eq!(agent.metric("esp_steer_moves_total", &[])?, 0);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_reload_moves_sas_to_the_cpus_that_it_names_and_back_to_none() -> Result<()> {
    let site = site(4)?;
    let file = config("")?;
    let agent = start(&site, "native", &file)?;
    let far = site.far()?;
    let steered = || Ok::<_, anyhow::Error>(by_cpu(&agent.scrape()?, "esp_steer_sas"));
    let reload = |text: &str| {
        std::fs::write(file.path(), text)?;
        agent.signal(Signal::SIGHUP)
    };
    let becomes = |sas: BTreeMap<u32, u64>| {
        wait::until_ok(PATIENCE, &format!("{sas:?}"), || {
            let now = steered()?;
            ensure!(now == sas, "{now:?}");
            Ok(())
        })
    };
    assert_eq!(steered()?, BTreeMap::new());
    // From where they are received to CPUs of their own, to others, and back.
    for (text, sas) in [
        ("[steer]\ncpus = \"0\"\n", BTreeMap::from([(0, 4)])),
        ("[steer]\ncpus = \"1\"\n", [(1, 4)].into()),
        ("[steer]\ncpus = \"1,4000\"\n", [(1, 4)].into()),
        ("", BTreeMap::new()),
    ] {
        reload(text)?;
        becomes(sas.clone())?;
        let before = packets_at(&agent.scrape()?, "xdp", Some("redirect"));
        send(&far, super::SPI, 1..11, false)?;
        wait::until_ok(PATIENCE, "10 packets more", || {
            let redirected = packets_at(&agent.scrape()?, "xdp", Some("redirect")) - before;
            ensure!(redirected == if sas.is_empty() { 0 } else { 10 }, "{redirected} for {text:?}");
            Ok(())
        })?;
    }
    assert_eq!(agent.metric("esp_agent_reloads_total", &[("result", "ok")])?, 4);
    reload("[steer]\ncpus = \"1-0\"\n")?;
    agent.wait_metric("esp_agent_reloads_total", &[("result", "failed")], 1)?;
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn without_an_agent_packets_go_on_and_detach_leaves_nothing() -> Result<()> {
    let site = site(2)?;
    let file = config("[steer]\ncpus = \"0-1\"\n")?;
    let mut agent = start(&site, "native", &file)?;
    let far = site.far()?;
    assert_eq!(agent.stop()?, 0);
    // One on each CPU.
    for spi in [super::SPI, super::SPI + 1] {
        send(&far, spi, 1..11, false)?;
    }
    let status = || Binary::find()?.status_json(&site.gateway);
    wait::until_ok(PATIENCE, "20 packets on their CPUs", || {
        let status = status()?;
        let cpus = status["cpus"].as_array().context("no CPUs")?;
        ensure!(cpus.len() == 2 && cpus.iter().all(|cpu| cpu["arrived"] == 10), "{status:#}");
        Ok(())
    })?;
    let links = || attached::pins(&site.gateway);
    // Who counts what queues refuse stays too.
    let counts =
        |pins: &[std::path::PathBuf]| pins.iter().filter(|pin| pin.ends_with("steer-esp_full")).count();
    assert_eq!(counts(&links()?), 1);
    run::text(Binary::find()?.command(&site.gateway).arg("detach"))?;
    assert_eq!(links()?, Vec::<std::path::PathBuf>::new());
    Ok(())
}
