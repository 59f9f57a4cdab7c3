//! What the CPU that receives takes, when another one does the rest: by `[steer]`, by the kernel's RPS, or not at all. Frames
//! come in by `BPF_PROG_TEST_RUN` as from a driver, on one CPU, by a veth in a namespace, for an address of ours.

use super::{
    cost::{Cost, Sampling},
    cpu,
    vary::{Spis, Varied},
};
use crate::{
    frame::Payload,
    kernel::{Constants, Kernel},
    netns::Netns,
    site::{GATEWAY, OUTSIDE, Site, inbound},
    wait,
    world::World,
};
use anyhow::{Context as _, Result, ensure};
use esp_common::{Addr, FlowKey, SaEntry, Spi, names};
use nix::net::if_::if_nametoindex;
use std::time::Duration;

const SPI: u32 = 0x1000;
/// Packets of a run: enough that starting it is nothing.
const PACKETS: u32 = 200_000;
/// As `[steer] queue` has it.
const QUEUE: u32 = 2_048;

/// What was measured: packets per second that the receiving CPU takes.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// With the stack on it.
    pub here: Cost,
    /// With the stack on another by RPS.
    pub rps: Cost,
    /// With the stack on another by `[steer]`.
    pub steered: Cost,
    /// How many times as many as with the stack on it, paired.
    pub of_here: Cost,
    /// How many times as many as by RPS, paired.
    pub of_rps: Cost,
    /// Part of what is steered that the other CPU has time for; its queue drops the rest.
    pub arriving: Cost,
}

impl Spread {
    /// Of the ratios.
    pub const TARGETS: [f64; 2] = [2.3, 1.3];
}

/// Who does the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Here,
    Rps,
    Steer,
}

/// Measures it on a CPU, in namespaces of its own.
///
/// # Errors
/// There is no other CPU, or the kernel refuses a program.
pub fn run(sampling: Sampling, cpu: usize) -> Result<Spread> {
    let other = other(cpu)?;
    let site = Site::new()?;
    site.gateway.run_in(|| {
        cpu::pin(Some(cpu))?;
        let mut kernel = Kernel::load(Constants::default())?;
        kernel.queue(u32::try_from(other)?, QUEUE)?;
        let ifindex = if_nametoindex(OUTSIDE)?;
        let frame = inbound(&Payload::esp(SPI, 1, 64)).build();
        let driver = Varied::restoring(kernel.xdp(names::PROG_XDP)?, Spis { base: SPI, count: 1 }, &frame)?;
        let key = FlowKey::new(Addr::from_v4(GATEWAY.octets()), Spi::new(SPI));
        let mut once = |by: By| -> Result<[f64; 2]> {
            let mut world = World { sas: [(key, SaEntry::default())].into(), ..World::lab() };
            world.settings.steer = u8::from(by == By::Steer);
            kernel.tell(&world)?;
            kernel.steer(&key, u32::try_from(other)?)?;
            rps(&site.gateway, if by == By::Rps { 1 << other } else { 0 })?;
            let before = kernel.handed()?;
            let ns = driver.live(&frame, ifindex, PACKETS)?;
            let [handed, arrived] = settled(&kernel)?;
            let handed = handed - before[0];
            let wanted = if by == By::Steer { u64::from(PACKETS) } else { 0 };
            ensure!(handed == wanted, "{handed} packets were handed over");
            Ok([1e9 / ns, (arrived - before[1]) as f64 / f64::from(PACKETS)])
        };
        let mut rounds: [Vec<f64>; 6] = Default::default();
        for round in 0..=sampling.rounds {
            let ([here, _], [rps, _], [steered, arriving]) =
                (once(By::Here)?, once(By::Rps)?, once(By::Steer)?);
            // The first is for warmth alone.
            if round > 0 {
                let values = [here, rps, steered, steered / here, steered / rps, arriving];
                rounds.iter_mut().zip(values).for_each(|(rounds, value)| rounds.push(value));
            }
        }
        let [here, rps, steered, of_here, of_rps, arriving] = rounds.map(Cost::of);
        Ok(Spread { here, rps, steered, of_here, of_rps, arriving })
    })
}

/// What was handed over and has arrived, when the queue is empty.
fn settled(kernel: &Kernel) -> Result<[u64; 2]> {
    let mut last = [u64::MAX; 2];
    wait::until(Duration::from_secs(10), "an empty queue", || {
        let now = kernel.handed();
        match &now {
            Ok(counts) if *counts != last => {
                last = *counts;
                None
            }
            _ => Some(now),
        }
    })?
}

/// The first CPU beside this one.
fn other(cpu: usize) -> Result<usize> {
    let online = esp_agent::datapath::cpus::online()?;
    let mut others = online.into_iter().map(|other| other as usize).filter(|other| *other != cpu);
    others.next().context("there is no other CPU")
}

fn rps(netns: &Netns, cpus: u64) -> Result<()> {
    let path = format!("/sys/class/net/{OUTSIDE}/queues/rx-0/rps_cpus");
    netns.run_in(|| {
        std::fs::write(&path, format!("{cpus:x}")).with_context(|| format!("failed to write {path}"))
    })
}
