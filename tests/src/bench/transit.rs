//! Transit at XDP against the kernel's own forwarding, on one topology of veths and one CPU: frames come in by
//! `BPF_PROG_TEST_RUN` as from a driver, cross the router, and are dropped and counted by the far host's XDP program.

use super::{
    cost::{Cost, Sampling},
    cpu,
    vary::{Spis, Varied},
};
use crate::{
    crossing::{Crossing, LEFT, NEAR, RIGHT},
    frame::{Frame, Ipv4, Payload},
    kernel::{Constants, Kernel},
    link::mac,
    world::World,
};
use anyhow::{Result, ensure};
use esp_common::{Action, Addr, Budgets, FlowKey, Hook, Reason, SaEntry, Spi, Transit, names};
use nix::net::if_::if_nametoindex;

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
    pub ratio: Cost,
}

impl Crossed {
    /// Of the ratio.
    pub const TARGET: f64 = 3.0;
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
        let driver = Varied::restoring(&router, names::PROG_XDP, Spis { base: SPI, count: 1 }, &frame)?;
        let mut once = |transit: Transit| -> Result<f64> {
            let mut world = World { sas: [].into(), locals: [].into(), ..World::lab() };
            world.settings.transit = transit.as_raw();
            router.tell(&world)?;
            let before = sink.reason(Hook::Xdp, Reason::SaBudget, Action::Drop)?.packets;
            let ns = driver.live(&frame, near, PACKETS)?;
            let arrived = sink.reason(Hook::Xdp, Reason::SaBudget, Action::Drop)?.packets - before;
            let part = arrived as f64 / f64::from(PACKETS);
            ensure!(part >= ARRIVING, "{transit:?}: only {arrived} of {PACKETS} packets arrive");
            Ok(ns / part)
        };
        let (mut kernel, mut xdp, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
        once(Transit::Off)?;
        once(Transit::All)?;
        for _ in 0..sampling.rounds {
            let (slow, fast) = (once(Transit::Off)?, once(Transit::All)?);
            kernel.push(slow);
            xdp.push(fast);
            ratio.push(slow / fast);
        }
        Ok(Crossed { kernel: Cost::of(kernel), xdp: Cost::of(xdp), ratio: Cost::of(ratio) })
    })
}
