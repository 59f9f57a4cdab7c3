//! Transit at XDP against the kernel's own forwarding, on one topology of veths and one CPU: frames come in by
//! `BPF_PROG_TEST_RUN` as from a driver, cross the router, and are dropped and counted by the far host's XDP program.

use super::{
    cost::{Cost, Sampling},
    cpu,
    least::{self, Least},
    ratio::{Ratio, Target},
    vary::{Spis, Varied},
};
use crate::{
    crossing::{Crossing, LEFT, NEAR, RIGHT},
    frame::{Frame, Ipv4, Payload},
    kernel::{Constants, Kernel},
    link::mac,
    world::World,
};
use anyhow::{Context as _, Result, ensure};
use esp_common::{Action, Addr, Budgets, FlowKey, Hook, Reason, SaEntry, Spi, Transit, names};
use nix::net::if_::if_nametoindex;
use serde_json::{Value, json};
use std::fmt;

const SPI: u32 = 0x1000;
/// Packets of a run: enough that starting it is nothing.
const PACKETS: u32 = 200_000;
/// Part of the packets that must arrive. A veth that is full drops some under the kernel's forwarding.
const ARRIVING: f64 = 0.9;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Crossed {
    /// ns for one packet by the kernel.
    pub kernel: Cost,
    /// ns for one packet at XDP.
    pub xdp: Cost,
    /// How many times as many packets, paired.
    pub ratio: Ratio,
    /// ns for one packet through a program that only exchanges MAC addresses and sends on: what the path itself takes.
    pub floor: Cost,
    /// How many times as many packets that is as by the kernel: no program could do more here.
    pub of_floor: Ratio,
    /// The same two of a program that asks the kernel for its route and neighbour before, as ours does.
    pub routed: (Cost, Ratio),
}

impl Crossed {
    /// Of the ratio.
    pub const TARGET: f64 = 3.0;

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let Self { kernel, xdp, ratio, floor, of_floor, routed } = self;
        json!({
            "kernel_ns": kernel.json(),
            "xdp_ns": xdp.json(),
            "ratio": ratio.value.json(),
            "target": Self::TARGET,
            "floor_ns": floor.json(),
            "of_floor": of_floor.json(),
            "routed_ns": routed.0.json(),
            "of_routed": routed.1.json(),
        })
    }
}

/// Measures it on a CPU, in namespaces of its own.
///
/// # Errors
/// The namespaces cannot be made, the kernel refuses a program, or packets are lost.
pub fn run(sampling: Sampling, cpu: usize) -> Result<Crossed> {
    let crossing = Crossing::new()?;
    let mut sink = Kernel::load(Constants::default())?;
    // An SA without a budget: the cheapest drop that is counted.
    let key = FlowKey::new(Addr::from_v4(RIGHT.octets()), Spi::new(SPI));
    let mut drops = World { sas: [(key, SaEntry::default())].into(), ..World::lab() };
    drops.settings.budgets = Budgets { sa_ns: u32::MAX, ..Budgets::default() };
    sink.tell(&drops)?;
    crossing.right.run_in(|| sink.attach("right0"))?;
    crossing.router.run_in(|| {
        cpu::pin(Some(cpu))?;
        let mut router = Kernel::load(Constants { mac: mac(NEAR.into()), ..Constants::default() })?;
        router.port(if_nametoindex("far0")?)?;
        let near = if_nametoindex("near0")?;
        let frame = Frame::v4(&Ipv4::new(LEFT, RIGHT), &Payload::esp(1, 1, 64));
        let frame = frame.macs(mac(LEFT.into()), mac(NEAR.into())).build();
        let mut least = Least::load()?;
        least.port(if_nametoindex("far0")?)?;
        let spis = Spis { base: SPI, count: 1 };
        let ours = Varied::restoring(router.xdp(names::PROG_XDP)?, spis, &frame)?;
        let floor = Varied::restoring(least.program(least::SWAP)?, spis, &frame)?;
        let routed = Varied::restoring(least.program(least::ROUTE)?, spis, &frame)?;
        let once = |driver: &Varied| -> Result<f64> {
            let before = sink.reason(Hook::Xdp, Reason::SaBudget, Action::Drop)?.packets;
            let ns = driver.live(&frame, near, PACKETS)?;
            let arrived = sink.reason(Hook::Xdp, Reason::SaBudget, Action::Drop)?.packets - before;
            let part = arrived as f64 / f64::from(PACKETS);
            ensure!(part >= ARRIVING, "only {arrived} of {PACKETS} packets arrive");
            Ok(ns / part)
        };
        let mut by = |transit: Transit| -> Result<f64> {
            let mut world = World { sas: [].into(), locals: [].into(), ..World::lab() };
            world.settings.transit = transit.as_raw();
            router.tell(&world)?;
            once(&ours).with_context(|| format!("{transit:?}"))
        };
        let mut rounds = Vec::new();
        for _ in 0..=sampling.rounds {
            let ours = [by(Transit::Off)?, by(Transit::All)?];
            rounds.push([ours[0], ours[1], once(&floor).context("floor")?, once(&routed).context("route")?]);
        }
        // The first is for warmth alone.
        Ok(Crossed::of(rounds.get(1..).unwrap_or_default()))
    })
}

impl Crossed {
    /// Rounds of the kernel, ours, the floor, and the floor with a route.
    fn of(rounds: &[[f64; 4]]) -> Self {
        let cost = |which: fn(&[f64; 4]) -> f64| Cost::of(rounds.iter().map(which).collect());
        let times = |which: fn(&[f64; 4]) -> f64, target| {
            Ratio::of(rounds.iter().map(|round| (round[0], which(round))), target)
        };
        Self {
            kernel: cost(|round| round[0]),
            xdp: cost(|round| round[1]),
            ratio: times(|round| round[1], Some(Target::AtLeast(Self::TARGET))),
            floor: cost(|round| round[2]),
            of_floor: times(|round| round[2], None),
            routed: (cost(|round| round[3]), times(|round| round[3], None)),
        }
    }
}

impl fmt::Display for Crossed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernel, xdp, ratio, floor, of_floor, routed } = self;
        let (routed, of_routed) = routed;
        let [kernel, xdp, floor, routed] = [kernel, xdp, floor, routed].map(|cost| cost.median);
        writeln!(
            f,
            "transit: kernel {kernel:.0} ns, XDP {xdp:.0} ns for a packet; times as many packets: {ratio}"
        )?;
        writeln!(f, "  MAC addresses exchanged and sent on, no more: {floor:.0} ns; {of_floor}")?;
        writeln!(f, "  the same, the kernel's route and neighbour asked: {routed:.0} ns; {of_routed}")
    }
}
