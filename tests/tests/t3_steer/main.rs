//! Each SA on one CPU: its packets arrive there alone and in order, whatever comes and goes.
//!
//! The kernel of this tier may have no ESP: what arrives at TC ingress of the gateway is what would be decrypted there.

mod order;
mod stay;

use anyhow::{Context as _, Result, ensure};
use esp_common::{FlowKey, Spi};
use esp_tests::{
    agent::{Agent, PATIENCE},
    frame::Payload,
    promtext::Scrape,
    site::{GATEWAY, NOWHERE, OUTSIDE, Site, inbound},
    wait,
    wire::Wire,
};
use std::collections::BTreeMap;
use std::io::Write as _;
use tempfile::NamedTempFile;

const SPI: u32 = 0x1000;

/// The gateway with so many SAs.
fn site(sas: u32) -> Result<Site> {
    let site = Site::new()?;
    (SPI..SPI + sas).try_for_each(|spi| site.allocate(NOWHERE.into(), GATEWAY.into(), spi))?;
    Ok(site)
}

fn config(text: &str) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    write!(file, "{text}")?;
    Ok(file)
}

fn start(site: &Site, mode: &str, config: &NamedTempFile) -> Result<Agent> {
    site.agent()?.arg("--attach").arg(mode).config(config.path()).start()
}

fn send(far: &Wire, spi: u32, numbers: std::ops::Range<u32>, natt: bool) -> Result<()> {
    for seq in numbers {
        let payload = if natt { Payload::natt_esp(spi, seq, 64) } else { Payload::esp(spi, seq, 64) };
        far.send(&inbound(&payload).build())?;
    }
    Ok(())
}

/// A metric of each CPU.
fn by_cpu(scrape: &Scrape, name: &str) -> BTreeMap<u32, u64> {
    let row = |cpu: u32| Some((cpu, scrape.sum(name, &[("cpu", &cpu.to_string())])?));
    (0..64).filter_map(row).collect()
}

/// The CPU that each SA has, by the maps.
fn lanes(site: &Site) -> Result<BTreeMap<u32, Option<u32>>> {
    let maps = site.maps()?;
    let lines = maps.lines();
    let named = lines.slots_named((*maps.sa_index).as_ref());
    Ok(named.map(|(key, slot): (FlowKey, u32)| (number(key.spi), lines.lane(slot).cpu())).collect())
}

fn number(spi: Spi) -> u32 {
    spi.number()
}

/// The scrape after so many packets have passed TC ingress.
fn arrived(agent: &Agent, packets: u64) -> Result<Scrape> {
    wait::until_ok(PATIENCE, &format!("{packets} packets at TC"), || {
        let scrape = agent.scrape()?;
        let seen = packets_at(&scrape, "tc_ingress", None);
        ensure!(seen >= packets, "{seen}");
        Ok(scrape)
    })
}

fn packets_at(scrape: &Scrape, hook: &str, action: Option<&str>) -> u64 {
    let mut labels = vec![("iface", OUTSIDE), ("hook", hook)];
    labels.extend(action.map(|action| ("action", action)));
    scrape.sum("esp_packets_total", &labels).unwrap_or(0)
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn packets_of_an_sa_arrive_on_its_cpu_alone() -> Result<()> {
    const EACH: u32 = 50;
    for mode in ["native", "generic"] {
        let site = site(4)?;
        let config = config("[steer]\ncpus = \"0-1\"\n")?;
        let agent = start(&site, mode, &config)?;
        let far = site.far()?;
        let lanes = lanes(&site)?;
        assert_eq!(by_cpu(&agent.scrape()?, "esp_steer_sas"), [(0, 2), (1, 2)].into(), "{mode}");
        let (mut before, mut sent) = (BTreeMap::from([(0, 0), (1, 0)]), 0);
        for spi in SPI..SPI + 4 {
            for natt in [false, true] {
                send(&far, spi, 1..EACH + 1, natt)?;
                sent += u64::from(EACH);
                let scrape = arrived(&agent, sent)?;
                let cpu = lanes[&spi].context("no CPU")?;
                *before.get_mut(&cpu).context("another CPU")? += u64::from(EACH);
                for name in ["esp_steer_handed_packets_total", "esp_steer_arrived_packets_total"] {
                    assert_eq!(by_cpu(&scrape, name), before, "{mode}: {spi:#x}, {name}");
                }
            }
        }
        let scrape = agent.scrape()?;
        for name in ["esp_steer_dropped_packets_total", "esp_steer_queued_packets"] {
            assert_eq!(by_cpu(&scrape, name), [(0, 0), (1, 0)].into(), "{mode}: {name}");
        }
        // One reason each: the same as without steering, but for the action.
        let known = [("hook", "xdp"), ("reason", "esp_known"), ("action", "redirect")];
        assert_eq!(scrape.sum("esp_packets_total", &known), Some(sent), "{mode}");
        assert_eq!(packets_at(&scrape, "xdp", None), sent, "{mode}");
        assert_eq!(packets_at(&scrape, "tc_ingress", None), sent, "{mode}");
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn what_is_of_no_sa_stays_on_the_cpu_that_receives_it() -> Result<()> {
    let site = site(1)?;
    let config = config("[steer]\ncpus = \"0-1\"\n")?;
    let agent = start(&site, "native", &config)?;
    let far = site.far()?;
    send(&far, 0xdead, 1..11, false)?;
    far.send(&inbound(&Payload::natt_keepalive()).build())?;
    let scrape = arrived(&agent, 11)?;
    assert_eq!(by_cpu(&scrape, "esp_steer_handed_packets_total").values().sum::<u64>(), 0);
    assert_eq!(packets_at(&scrape, "xdp", Some("pass")), 11);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn at_tc_alone_nothing_is_steered_and_status_says_so() -> Result<()> {
    let site = site(1)?;
    let config = config("[steer]\ncpus = \"0-1\"\n")?;
    let agent = start(&site, "tc", &config)?;
    send(&site.far()?, SPI, 1..11, false)?;
    let scrape = arrived(&agent, 10)?;
    assert_eq!(by_cpu(&scrape, "esp_steer_handed_packets_total").values().sum::<u64>(), 0);
    let status = agent.status_json()?;
    let note = status["interfaces"][0]["note"].as_str().unwrap_or_default();
    ensure!(note.contains("goes to no other CPU"), "{status:#}");
    Ok(())
}

/// What a queue has no room for is dropped by the kernel, and counted: nothing is missing in the sum.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_full_queue_drops_and_every_drop_is_counted() -> Result<()> {
    for mode in ["native", "generic"] {
        let site = site(2)?;
        let config = config("[steer]\ncpus = \"0\"\nqueue = 8\n")?;
        let agent = start(&site, mode, &config)?;
        let mut sent = 0_u32;
        let drops = wait::until_ok(PATIENCE, "a full queue", || {
            // On the CPU of the queue: while packets come in, nobody takes them out.
            std::thread::scope(|scope| {
                let flood = |spi| {
                    let (site, numbers) = (&site, sent + 1..sent + 2_001);
                    move || {
                        pin(0)?;
                        send(&site.far()?, spi, numbers, false)
                    }
                };
                let floods = [SPI, SPI + 1].map(|spi| scope.spawn(flood(spi)));
                floods.into_iter().try_for_each(|flood| {
                    flood.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            })?;
            sent += 2_000;
            let drops = agent.metric("esp_steer_dropped_packets_total", &[])?;
            ensure!(drops > 0, "no drop of {sent}");
            Ok(drops)
        });
        let drops = drops.with_context(|| mode.to_owned())?;
        let sent = u64::from(2 * sent);
        wait::until_ok(PATIENCE, "an empty queue", || {
            let scrape = agent.scrape()?;
            let of = |name: &str| scrape.sum(name, &[("cpu", "0")]).unwrap_or(0);
            let (handed, arrived) =
                (of("esp_steer_handed_packets_total"), of("esp_steer_arrived_packets_total"));
            let dropped = of("esp_steer_dropped_packets_total");
            ensure!(of("esp_steer_queued_packets") == 0, "not empty");
            ensure!(handed == sent && handed == arrived + dropped, "{handed} {arrived} {dropped} of {sent}");
            ensure!(
                packets_at(&scrape, "tc_ingress", None) == arrived && dropped >= drops,
                "{arrived} at TC"
            );
            Ok(())
        })
        .with_context(|| mode.to_owned())?;
    }
    Ok(())
}

/// Binds this thread to a CPU.
fn pin(cpu: usize) -> Result<()> {
    use nix::{
        sched::{CpuSet, sched_setaffinity},
        unistd::Pid,
    };
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
