//! The CPU that decrypts an SA is taken away under load and comes back: no packet is lost or overtaken, and each is counted.

use anyhow::{Result, ensure};
use esp_agent::datapath::maps::Maps;
use esp_common::{Action, Hook, Reason, counter::reason_index};
use esp_tests::{
    agent::PATIENCE,
    lab::{
        CLIENT_A, CLIENT_B, Gateway, Lab, Line, Mode, Outer, Side, Suite, Tunnel, counted, moved, xfrm_stat,
    },
    stream::{Arrived, Stream},
    wait::until_ok,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

/// Datagrams a second: an SA that never pauses for as long as a move takes.
const RATE: u32 = 100;
/// Packets that show that traffic goes on.
const SOME: u64 = 200;
const BURST: u64 = 20;

/// There is one CPU to take away.
static ALONE: Mutex<()> = Mutex::new(());

/// A CPU that does not run until this goes.
struct Offline(u32);

impl Offline {
    fn take(cpu: u32) -> Result<Self> {
        ensure!(
            std::env::var_os("VM").is_some(),
            "takes a CPU away, and so runs in a VM of `cargo xtask vm` only"
        );
        Self::set(cpu, "0")?;
        Ok(Self(cpu))
    }

    fn set(cpu: u32, online: &str) -> Result<()> {
        Ok(std::fs::write(format!("/sys/devices/system/cpu/cpu{cpu}/online"), online)?)
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        Self::set(self.0, "1").expect("the CPU to come back");
    }
}

/// Both gateways, the SA steered, and any packet behind a later one of its SA a replay.
struct World {
    lab: Lab,
    tunnel: Tunnel,
    a: Gateway,
    maps: Maps,
    before: BTreeMap<String, u64>,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    fn new(cpus: &str) -> Result<Self> {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (lab, tunnel) = (Lab::new()?, Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?);
        tunnel.by_hand(&lab.server_b, Side::B)?;
        let mut a = Gateway::new(&lab, Side::A, &config(&tunnel, cpus))?;
        a.start()?;
        let (maps, before) = (a.maps()?, xfrm_stat(&a.netns)?);
        Ok(Self { lab, tunnel, a, maps, before, _alone })
    }

    fn stream(&self) -> Result<Stream> {
        Stream::start((&self.lab.client_b, CLIENT_B[0]), (&self.lab.client_a, CLIENT_A[0]), RATE)
    }

    fn wait_lane(&self, cpu: Option<u32>) -> Result<()> {
        until_ok(PATIENCE, &format!("the SA on {cpu:?}"), || {
            let lines = self.maps.lines();
            let lanes: Vec<_> = lines
                .slots_named((*self.maps.sa_index).as_ref())
                .map(|(_, slot)| lines.lane(slot).cpu())
                .collect();
            ensure!(
                lanes.contains(&cpu) && lanes.iter().all(|lane| lane.is_none() || *lane == cpu),
                "{lanes:?}"
            );
            Ok(())
        })
    }

    /// Waits until some more packets were decrypted.
    fn wait_some(&self) -> Result<()> {
        let all = || counted(&self.maps, Hook::TcIngress, Reason::Decrypted, Action::Pass);
        let before = all();
        until_ok(PATIENCE, "traffic to go on", || {
            ensure!(all() >= before + SOME, "{} since", all() - before);
            Ok(())
        })
    }

    /// A burst after a pause is decrypted on this CPU alone.
    fn expect_on(&self, cpu: u32) -> Result<()> {
        let index = reason_index(0, Hook::TcIngress, Reason::Decrypted, Action::Pass);
        let on = |cpu| self.maps.reasons.of(cpu, index).packets;
        let line = Line::new(&self.lab, CLIENT_B[0])?;
        let before = [on(0), on(1)];
        (0..BURST).try_for_each(|number| line.send(number))?;
        let numbers = line.receive(BURST, &AtomicBool::new(false))?;
        ensure!(numbers.into_iter().eq(0..BURST), "out of order");
        let mut wanted = before;
        wanted[cpu as usize] += BURST;
        ensure!([on(0), on(1)] == wanted, "{:?}, not {wanted:?}", [on(0), on(1)]);
        Ok(())
    }

    /// All that was handed to a CPU has come out or was dropped, by the metrics; the kernel has refused nothing.
    fn expect_whole(&self, arrived: &Arrived) -> Result<()> {
        ensure!(arrived.lost.is_empty() && arrived.twice == 0, "{arrived}");
        let scrape = self.a.agent()?.scrape()?;
        let of = |name: &str| scrape.sum(&format!("esp_steer_{name}"), &[]).unwrap_or(0);
        let rows =
            ["handed_packets_total", "arrived_packets_total", "dropped_packets_total", "queued_packets"]
                .map(of);
        eprintln!("{arrived}; handed, arrived, dropped, queued: {rows:?}");
        let reason = |reason, action| counted(&self.maps, Hook::Xdp, reason, action);
        let known = reason(Reason::EspKnown, Action::Pass) + reason(Reason::EspKnown, Action::Redirect);
        let decrypted = counted(&self.maps, Hook::TcIngress, Reason::Decrypted, Action::Pass);
        ensure!(known == decrypted, "{known} known, {decrypted} decrypted");
        ensure!(rows[2..] == [0, 0], "{rows:?}");
        let moved = moved(&self.before, &xfrm_stat(&self.a.netns)?);
        ensure!(moved.is_empty(), "{moved:?}");
        Ok(())
    }
}

fn config(tunnel: &Tunnel, cpus: &str) -> String {
    format!("[steer]\ncpus = \"{cpus}\"\n{}", tunnel.config(Side::A, "replay_window = 1"))
}

#[test]
#[ignore = "T4: root, ESP"]
fn a_cpu_that_goes_and_comes_back_loses_nothing() -> Result<()> {
    let world = World::new("1")?;
    world.wait_lane(Some(1))?;
    world.expect_on(1)?;
    let stream = world.stream()?;
    world.wait_some()?;
    let gone = Offline::take(1)?;
    world.wait_some()?;
    until_ok(PATIENCE, "status to tell", || {
        let idle = &world.a.agent()?.status_json()?["agent"]["idle_cpus"];
        ensure!(*idle == serde_json::json!([1]), "{idle}");
        Ok(())
    })?;
    world.expect_whole(&stream.finish()?)?;
    // In a pause it goes where it is received.
    world.wait_lane(None)?;
    world.expect_on(0)?;
    drop(gone);
    world.wait_lane(Some(1))?;
    world.expect_on(1)?;
    // And it can still leave.
    world.a.reload(&config(&world.tunnel, "0"))?;
    world.wait_lane(Some(0))?;
    world.expect_on(0)
}

#[test]
#[ignore = "T4: root, ESP"]
fn a_cpu_that_is_away_for_a_moment_decrypts_its_sas_again() -> Result<()> {
    let world = World::new("1")?;
    world.wait_lane(Some(1))?;
    let stream = world.stream()?;
    world.wait_some()?;
    for _ in 0..2 {
        drop(Offline::take(1)?);
        world.wait_some()?;
    }
    world.expect_whole(&stream.finish()?)?;
    until_ok(PATIENCE, "the SA to be decrypted on its CPU", || {
        world.wait_lane(Some(1))?;
        world.expect_on(1)
    })?;
    world.a.reload(&config(&world.tunnel, "0"))?;
    world.wait_lane(Some(0))?;
    world.expect_on(0)
}
