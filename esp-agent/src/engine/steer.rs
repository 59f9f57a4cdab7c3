//! SAs on CPUs of their own: queues, loads, moves.
//!
//! A move never lets a packet overtake another one of its SA. The SA is watched, then all packets are let through that were in
//! the datapath, and all that were handed to its CPU until then. If none of the SA came meanwhile, all of them are decrypted,
//! and the next one may go elsewhere. An SA that never pauses for so long stays where it is until its rekey.

use super::Engine;
use crate::cpu_time::{self, Ticks};
use crate::datapath::{behind::Behind, cpus, grace, image::SaImage, queues::Passed};
use crate::failure::Failure;
use crate::steer::{Astray, Load, Move, Wish};
use esp_common::lane::Lane;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// SAs that are watched at a time.
const WATCHED: usize = 256;
/// Between two looks at a queue that has not let through what was in it.
const LOOK: Duration = Duration::from_millis(5);
/// Looks after which it is left alone until the next round.
const LOOKS: u32 = 40;
/// From a queue's end through the stack: at most eight packets, GRO's next tick, a cipher that works behind our back.
const THROUGH: Duration = Duration::from_millis(20);
/// The same where the queue of a CPU is on another one: what it lets through is counted there.
const STRAY: Duration = Duration::from_millis(200);

/// What is under way.
#[derive(Default)]
pub struct Lanes {
    behind: Option<Behind>,
    watch: Option<Watch>,
    /// When it is to be looked at.
    pub(super) due: Option<Instant>,
    ticks: BTreeMap<u32, Ticks>,
    passed: BTreeMap<u32, Passed>,
    astray: Astray,
    /// CPUs whose queues are on another one: nothing new goes there until they have new queues.
    strayed: BTreeSet<u32>,
    /// There are no queues.
    closed: bool,
}

/// SAs that are watched.
struct Watch {
    moves: Vec<Move>,
    /// What has to come out of the two queues of each CPU.
    behind: BTreeMap<u32, [u64; 2]>,
    looks: u32,
    through: bool,
}

impl Engine {
    /// Has the CPUs that may be used, and those that `sas` ask for, ready to be handed packets.
    pub(super) fn open_queues<'a>(&mut self, sas: impl Iterator<Item = &'a SaImage>) -> Result<(), Failure> {
        let Some(steer) = self.config.steer.clone() else {
            self.filler.steering().allow(BTreeSet::new(), BTreeSet::new());
            self.shared.state().steer.idle.clear();
            return Ok(());
        };
        let online = cpus::online()?;
        self.shared.state().steer.idle = steer.cpus.difference(&online).copied().collect();
        let queued = self.filler.maps().queues.list()?;
        self.lanes.strayed.extend(queued.iter().map(|(cpu, _)| cpu).filter(|cpu| !online.contains(cpu)));
        let sound: BTreeSet<u32> = online.difference(&self.lanes.strayed).copied().collect();
        let own = sas.filter_map(|sa| match sa.wish {
            Wish::Own(cpu) if sound.contains(&cpu) => Some(cpu),
            Wish::Own(_) | Wish::Any | Wish::None => None,
        });
        let needed: BTreeSet<u32> = steer.cpus.intersection(&sound).copied().chain(own).collect();
        if self.lanes.behind.is_none() {
            let behind = self.lanes.behind.insert(Behind::load(&self.pins, &self.config.sizes)?);
            if let Err(error) = behind.count_refusals(&self.pins) {
                let lack = format!("packets that found a CPU's queue full are not counted: {error}");
                tracing::warn!("{lack}");
                self.shared.state().lacks.push(lack);
            }
        }
        self.lanes.closed = false;
        if let Some(behind) = &self.lanes.behind {
            let programs = behind.programs()?;
            for cpu in needed {
                self.filler.maps_mut().queues.add(cpu, steer.queue, programs)?;
            }
        }
        self.filler.steering().allow(steer.cpus, sound);
        Ok(())
    }

    /// One round: what CPUs had to do, and which SAs should be elsewhere.
    pub(super) fn steer(&mut self) -> Result<(), Failure> {
        if !self.filler.steering().is_on() {
            return self.close_queues();
        }
        let passed = self.filler.maps().queues.passed()?;
        let queues = self.filler.maps().queues.list()?.into_iter().collect();
        let found = self.lanes.astray.look(&passed, &queues);
        self.lanes.strayed.retain(|cpu| queues.contains_key(cpu));
        self.lanes.strayed.extend(found);
        self.open_queues(std::iter::empty())?;
        let loads = self.loads(&passed)?;
        self.filler.steering().round(&loads);
        self.close_queues()?;
        if self.lanes.watch.is_none() {
            let moves = self.filler.steering().moves(WATCHED);
            self.watch_sas(moves)?;
        }
        Ok(())
    }

    /// Takes away what nobody needs.
    fn close_queues(&mut self) -> Result<(), Failure> {
        if self.lanes.closed {
            return Ok(());
        }
        let needed = self.filler.steering().needed();
        self.lanes.closed = needed.is_empty();
        let queues = &mut self.filler.maps_mut().queues;
        for (cpu, _) in queues.list()?.into_iter().filter(|(cpu, _)| !needed.contains(cpu)) {
            queues.remove(cpu)?;
            self.lanes.passed.remove(&cpu);
        }
        Ok(())
    }

    fn loads(&mut self, passed: &BTreeMap<u32, [Passed; 2]>) -> Result<BTreeMap<u32, Load>, Failure> {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = cpu_time::parse(&stat);
        let mut loads = BTreeMap::new();
        for (cpu, _) in self.filler.maps().queues.list()? {
            let [plain, frags] = passed.get(&cpu).copied().unwrap_or_default();
            let now = plain + frags;
            let before = self.lanes.passed.insert(cpu, now).unwrap_or(now);
            let spent = (self.lanes.ticks.get(&cpu).copied(), ticks.get(&cpu).copied());
            let load = Load {
                packets: now.handed.saturating_sub(before.handed),
                refused: now.refused.saturating_sub(before.refused),
                busy: if let (Some(before), Some(now)) = spent { cpu_time::busy(before, now) } else { 0 },
            };
            loads.insert(cpu, load);
        }
        self.lanes.ticks = ticks;
        self.shared.state().steer.busy = loads.iter().map(|(cpu, load)| (*cpu, load.busy)).collect();
        Ok(loads)
    }

    fn watch_sas(&mut self, mut moves: Vec<Move>) -> Result<(), Failure> {
        let lines = self.filler.table().lines();
        moves.retain(|step| lines.watch(step.slot, lane(step.from)));
        if moves.is_empty() {
            return Ok(());
        }
        grace::wait();
        let passed = self.filler.maps().queues.passed()?;
        let sound = |cpu: &u32| !self.lanes.strayed.contains(cpu);
        let behind = moves.iter().filter_map(|step| step.from).filter(sound).map(|cpu| {
            let passed = passed.get(&cpu).copied().unwrap_or_default();
            (cpu, passed.map(|passed| passed.handed))
        });
        let behind = behind.collect();
        self.lanes.watch = Some(Watch { moves, behind, looks: 0, through: false });
        self.lanes.due = Some(Instant::now() + LOOK);
        Ok(())
    }

    /// Looks whether the queues have let all through; then moves those SAs that were silent.
    pub(super) fn look_at_queues(&mut self) -> Result<(), Failure> {
        self.lanes.due = None;
        let Some(mut watch) = self.lanes.watch.take() else { return Ok(()) };
        if watch.through {
            self.move_sas(&watch);
            return self.after_moves();
        }
        let mut full = BTreeSet::new();
        let passed = self.filler.maps().queues.passed()?;
        for (cpu, handed) in &watch.behind {
            let out = self.lanes.astray.out(*cpu, passed.get(cpu).copied().unwrap_or_default());
            if out.iter().zip(handed).any(|(out, handed)| out < handed) {
                full.insert(*cpu);
            }
        }
        watch.looks += 1;
        let wait = if full.is_empty() || watch.looks == LOOKS {
            let (stay, go): (Vec<_>, Vec<_>) =
                watch.moves.drain(..).partition(|step| step.from.is_some_and(|cpu| full.contains(&cpu)));
            self.stay(&stay);
            (watch.moves, watch.through) = (go, true);
            if !self.lanes.strayed.is_empty() { STRAY } else { THROUGH }
        } else {
            LOOK
        };
        self.lanes.watch = Some(watch);
        self.lanes.due = Some(Instant::now() + wait);
        Ok(())
    }

    fn move_sas(&mut self, watch: &Watch) {
        let lines = self.filler.table().lines();
        let (moved, stay): (Vec<Move>, Vec<Move>) =
            watch.moves.iter().partition(|step| lines.settle(step.slot, lane(step.from), lane(step.to)));
        self.stay(&stay);
        let steering = self.filler.steering();
        moved.iter().for_each(|step| steering.moved(step));
        self.shared.state().steer.moved += moved.len() as u64;
    }

    /// Those that did not pause.
    fn stay(&self, moves: &[Move]) {
        let lines = self.filler.table().lines();
        moves.iter().for_each(|step| _ = lines.calm(step.slot));
        self.shared.state().steer.stayed += moves.len() as u64;
    }

    /// The last SA has gone back to where it is received: no packet needs to look for a CPU.
    fn after_moves(&mut self) -> Result<(), Failure> {
        let on = u8::from(self.filler.steering().is_on());
        if self.filler.settings().steer == on {
            return Ok(());
        }
        Ok(self.filler.set(|settings| settings.steer = on)?)
    }
}

fn lane(cpu: Option<u32>) -> Lane {
    cpu.map_or(Lane::HERE, Lane::of)
}
