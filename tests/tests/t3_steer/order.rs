//! No packet overtakes another one of its SA, while SAs come, go and move under load.

use super::{SPI, config, pin, send, site, start};
use anyhow::{Context as _, Result, ensure};
use esp_tests::{
    site::{GATEWAY, NOWHERE, Site},
    wire::{Received, Wire},
};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// SAs of each of the two senders; as many others come and go.
const SAS: u32 = 4;
const COMERS: u32 = 4;
const SECONDS: Duration = Duration::from_secs(16);
/// Between two changes of the configuration.
const CHANGE: Duration = Duration::from_millis(1_900);
/// The CPU of the senders, and so of the veth's receive path.
const RECEIVES: usize = 1;
/// Between two rounds of bursts.
const PACE: Duration = Duration::from_micros(300);
/// Long enough for an SA to move: the agent looks once a second.
const REST: Duration = Duration::from_millis(1_300);

/// Numbers of ESP by SPI, in the order in which the stack of the gateway got them.
#[derive(Default)]
struct Numbers(BTreeMap<u32, (u32, u64)>);

impl Numbers {
    fn take(&mut self, received: &[Received]) -> Result<()> {
        for Received { outgoing, frame } in received {
            let esp = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&50);
            if *outgoing || !esp {
                continue;
            }
            let word = |at: usize| {
                let bytes = frame.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
                bytes.map(u32::from_be_bytes).context("a short frame")
            };
            let (spi, seq) = (word(34)?, word(38)?);
            let (last, count) = self.0.entry(spi).or_default();
            ensure!(seq > *last, "SA {spi:#x}: {seq} behind {last}, after {count} packets");
            (*last, *count) = (seq, *count + 1);
        }
        Ok(())
    }
}

/// Sends on its SAs, bursts of each; half of them rest in turn.
fn load(site: &Site, first: u32, stop: &AtomicBool) -> Result<BTreeMap<u32, u32>> {
    pin(RECEIVES)?;
    let far = site.far()?;
    let mut next: BTreeMap<u32, u32> = (first..first + SAS).map(|spi| (spi, 1)).collect();
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let odd = (begun.elapsed().as_millis() / REST.as_millis()) as u32 % 2;
        for (spi, seq) in next.iter_mut().filter(|(spi, _)| **spi % 2 == odd) {
            send(&far, *spi, *seq..*seq + 8, false)?;
            *seq += 8;
        }
        std::thread::sleep(PACE);
    }
    Ok(next)
}

/// Keeps the other CPU from its queue, for some milliseconds at a time: what is handed to it is late.
fn hold_up(stop: &AtomicBool) -> Result<()> {
    pin(1 - RECEIVES)?;
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
    Ok(())
}

/// Others come and go, and those that stay are sent from one set of CPUs to another.
fn change(site: &Site, agent: &esp_tests::agent::Agent, path: &std::path::Path) -> Result<()> {
    let comers = SPI + 0x100..SPI + 0x100 + COMERS;
    let end = Instant::now() + SECONDS;
    for cpus in ["0", "1", "0-1"].iter().cycle() {
        comers.clone().try_for_each(|spi| site.allocate(NOWHERE.into(), GATEWAY.into(), spi))?;
        std::fs::write(path, format!("[steer]\ncpus = \"{cpus}\"\n"))?;
        agent.signal(Signal::SIGHUP)?;
        std::thread::sleep(CHANGE);
        for spi in comers.clone() {
            site.gateway.ip(&format!("xfrm state delete dst {GATEWAY} proto esp spi {spi:#x}"))?;
        }
        if Instant::now() > end {
            break;
        }
    }
    Ok(())
}

fn in_order(mode: &str) -> Result<()> {
    let site = site(2 * SAS)?;
    let file = config("[steer]\ncpus = \"0-1\"\n")?;
    let agent = start(&site, mode, &file)?;
    let (near, stop) = (site.near()?, AtomicBool::new(false));
    let (numbers, sent) = std::thread::scope(|scope| {
        let loads = [SPI, SPI + SAS].map(|first| {
            let (site, stop) = (&site, &stop);
            scope.spawn(move || load(site, first, stop))
        });
        let others = [0; 3].map(|_| scope.spawn(|| hold_up(&stop)));
        let reader = scope.spawn(|| read(&near, &stop));
        let changed = change(&site, &agent, file.path());
        stop.store(true, Ordering::Relaxed);
        let joined = |thread: std::thread::ScopedJoinHandle<'_, Result<BTreeMap<u32, u32>>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let [first, second] = loads.map(joined);
        let numbers = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        for other in others {
            other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        changed?;
        let mut sent = first?;
        sent.extend(second?);
        anyhow::Ok((numbers, sent))
    })?;
    let moved = agent.metric("esp_steer_moves_total", &[("result", "moved")])?;
    eprintln!("{mode}: {moved} moves, packets by SA: {:?}", numbers.0);
    ensure!(moved >= u64::from(SAS), "only {moved} moves");
    let dropped = agent.metric("esp_steer_dropped_packets_total", &[])?;
    let (all, got): (u64, u64) =
        (sent.values().map(|next| u64::from(next - 1)).sum(), numbers.0.values().map(|row| row.1).sum());
    ensure!(numbers.0.len() == sent.len() && got > all / 10, "{got} of {all} packets, {dropped} dropped");
    Ok(())
}

/// Reads until the end, and a moment longer.
fn read(near: &Wire, stop: &AtomicBool) -> Result<Numbers> {
    let mut numbers = Numbers::default();
    let mut quiet = 0;
    while quiet < 20 {
        // What finds no room in the buffer is only missing: the order of the others holds.
        let received = near.drain_lossy()?;
        numbers.take(&received)?;
        quiet = if stop.load(Ordering::Relaxed) && received.is_empty() { quiet + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(numbers)
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn no_packet_overtakes_another_in_native_mode() -> Result<()> {
    in_order("native")
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn no_packet_overtakes_another_in_generic_mode() -> Result<()> {
    in_order("generic")
}
