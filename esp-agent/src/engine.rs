//! The loop of the running agent: events in, maps up to date, lease renewed.

mod beats;
mod react;
mod reconcile;
mod reload;
mod rotate;
mod steer;

use crate::clock;
use crate::config::Config;
use crate::control::Calls;
use crate::datapath::{
    attach::{self, AttachMode, Target},
    fill::{FULL, Filler},
    image::Image,
    load::FlushLog,
    pins::Pins,
    resize::Replaced,
    tellers::Tellers,
};
use crate::drift::{Backoff, Object, Watch, What};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::natt::{Natt, paths};
use crate::net::{self, Link, NetEvents};
use crate::plan::Observed;
use crate::ready::Holder;
use crate::record::Record;
use crate::rotation::Rotations;
use crate::sequence::Sequenced;
use crate::shared::Shared;
use crate::snapshot::{TcMode, XdpMode};
use crate::xfrm::events::Events;
use esp_common::LEASE_NS;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
pub use steer::Lanes;
use tokio::signal::unix::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// How old a lease must be to be written anew.
const RENEWAL_NS: u64 = 250_000_000;
/// How often the loop turns at least, and the state file is written.
const BEAT: Duration = Duration::from_secs(1);
/// Events that come close together are one change: a rekey is four of them.
const SETTLE: Duration = Duration::from_millis(5);
/// SAs that are changed one by one; for more of them all is worked out anew.
const FEW: usize = 512;
/// How often flows of SAs that are gone are looked for, and the kernel read again in case an event was never sent
/// (`allocspi` sends none).
const SWEEP: Duration = Duration::from_secs(60);
/// How often the sequence numbers of our SAs are read.
const NUMBERS: Duration = Duration::from_secs(5);

/// Everything that the loop owns.
pub struct Engine {
    /// Where the agent lives.
    pub instance: Instance,
    /// Its pins.
    pub pins: Pins,
    /// The configuration's file, if there is one.
    pub path: Option<PathBuf>,
    /// The configuration in force.
    pub config: Config,
    /// Interfaces that should be attached.
    pub ifaces: Vec<String>,
    /// How.
    pub mode: AttachMode,
    /// The maps.
    pub filler: Filler,
    /// Maps that it has replaced.
    pub replaced: Replaced,
    /// What tells the time of the datapath, and which SA the kernel got last.
    pub tellers: Tellers,
    /// The kernel.
    pub xfrm: Sequenced,
    /// What events name as the cause of our own changes.
    pub port: u32,
    /// What is ours in it.
    pub record: Record,
    /// Sockets of encapsulated ESP.
    pub natt: Natt,
    /// Generations of keys.
    pub rotations: Rotations,
    /// The kernel is not where the rotations are.
    pub rotation_behind: bool,
    /// Which boot it is.
    pub boot_id: String,
    /// What may drift.
    pub drift: Drift,
    /// A moment of which the maps are complete, in ns of CLOCK_MONOTONIC: all that the kernel told before it is there.
    pub complete_ns: u64,
    /// Not ready before that is so for the first time since the programs were attached.
    pub incomplete: Option<Holder>,
    /// CPUs of SAs.
    pub lanes: Lanes,
    /// What scrapes read.
    pub shared: Shared,
    /// Logs of a debug object.
    pub logs: Vec<FlushLog>,
}

/// What is known of drift.
#[derive(Default)]
pub struct Drift {
    watch: Watch,
    backoff: Backoff,
    /// What is not as it shall be and was told already.
    open: BTreeMap<Object, What>,
    /// When the kernel is to be read and repaired.
    due: Option<Instant>,
    /// When it was read last because of drift.
    read: Option<Instant>,
    /// Objects that are left alone for a while, and after how many repairs that was told.
    held: BTreeMap<Object, u32>,
}

impl Engine {
    /// Takes over a reading of the kernel and brings the maps up to date.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn take(&mut self, observed: Observed) -> Result<(), Failure> {
        let desired = self.config.desired();
        self.drift.watch.want(&desired);
        self.xfrm.want(&desired);
        self.shared.picture().read(observed, clock::unix_s());
        self.refresh()
    }

    /// Has the sockets that the configuration needs open, and no others.
    pub(crate) fn open_sockets(&mut self) {
        let paths = paths(&self.config, &self.shared.picture().locals);
        self.natt.want(paths);
    }

    /// Brings the maps to what events have changed: a few SAs by themselves, anything else with all there is.
    ///
    /// # Errors
    /// A map cannot be written.
    pub(crate) fn update(&mut self) -> Result<(), Failure> {
        let in_sync = self.shared.state().in_sync;
        let change = {
            let mut picture = self.shared.picture();
            picture.settle();
            let few = in_sync && !picture.whole && picture.touched.len() <= FEW;
            few.then(|| {
                let change = Image::change(&picture);
                picture.shown();
                change
            })
        };
        if let Some(change) = &change {
            self.open_queues(change.sas.values())?;
        }
        match change {
            Some(change) if self.filler.patch(&change)? => Ok(()),
            Some(_) | None => self.refresh(),
        }
    }

    /// Brings the maps to the picture, and says whether it is complete.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        let image = {
            let mut picture = self.shared.picture();
            picture.settle();
            let image = Image::of(&picture);
            picture.shown();
            image
        };
        self.open_queues(image.sas.values())?;
        let notes = self.filler.fill(&image)?;
        let steer = u8::from(self.filler.steering().is_on());
        let complete = !notes.iter().any(|note| note.starts_with(FULL));
        let Config { guard, wire, budgets, sampling, transit, .. } = self.config;
        self.filler.set(|settings| {
            settings.modes = guard.as_raw();
            settings.wire = wire;
            settings.budgets = budgets;
            settings.sampling = sampling;
            settings.transit = transit.as_raw();
            settings.steer = steer;
            settings.synced = u32::from(complete);
        })?;
        self.renew()?;
        let mut state = self.shared.state();
        for note in notes.iter().filter(|note| !state.disabled.contains(note)) {
            tracing::warn!("{note}");
        }
        state.disabled = notes;
        state.in_sync = complete;
        Ok(())
    }

    /// Attaches to all interfaces that should be.
    ///
    /// # Errors
    /// An interface that is not there, or cannot be attached to.
    pub async fn attach_all(&mut self) -> Result<(), Failure> {
        let links = net::links().await?;
        for name in self.ifaces.clone() {
            let link = links.iter().find(|link| link.name == name).ok_or(Failure::NoInterface(name))?;
            self.attach(link)?;
        }
        Ok(std::mem::take(&mut self.replaced).settle(self.filler.maps_mut())?)
    }

    fn attach(&mut self, link: &Link) -> Result<(), Failure> {
        let target = Target {
            name: link.name.clone(),
            ifindex: link.ifindex,
            ethernet: link.ethernet,
            mac: link.mac,
            xdp_program: link.xdp_prog_id,
            sad: self.tellers.sad(),
        };
        let attached = attach::attach(&self.pins, &self.config.sizes, &mut self.filler, &target, self.mode)?;
        let xdp = XdpMode::of(&attached.slot).map_or("none", XdpMode::label);
        let tc = TcMode::of(&attached.slot).map_or("none", TcMode::label);
        tracing::info!("attached to {}: xdp {xdp}, tc {tc}", link.name);
        if !attached.note.is_empty() {
            tracing::warn!("{}: {}", link.name, attached.note);
        }
        self.shared.state().iface_notes.insert(link.name.clone(), attached.note);
        self.logs.extend(attached.log);
        Ok(())
    }

    /// Runs until `stop`. Subscriptions were made before the first reading, so that no change falls between.
    ///
    /// # Errors
    /// A map or a socket fails.
    pub async fn run(
        mut self,
        mut events: Events,
        mut net: NetEvents,
        mut hangup: Signal,
        mut calls: Calls,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let mut beat = every(BEAT);
        let mut mirror = every(self.config.mirror_interval);
        let mut sweep = every(SWEEP);
        let mut numbers = every(NUMBERS);
        let mut due: Option<Instant> = None;
        self.follow_routes(&mut net)?;
        loop {
            let now = clock::monotonic_ns();
            if due.is_none() && events.is_drained()? {
                self.complete(now)?;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                event = events.next() => self.on_xfrm(event?, &mut due)?,
                event = net.next() => self.on_net(event?).await?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.update()?;
                    let since = due.take().map_or(Duration::ZERO, |due| SETTLE + due.elapsed());
                    self.shared.state().update_ns = react::nanos(since);
                }
                () = sleep_until(self.drift.due.unwrap_or_else(Instant::now)), if self.drift.due.is_some() => {
                    let observed = self.observe()?;
                    self.reconcile(observed)?;
                }
                () = sleep_until(self.lanes.due.unwrap_or_else(Instant::now)), if self.lanes.due.is_some() => {
                    self.look_at_queues()?;
                }
                Some(call) = calls.recv() => self.on_call(call),
                () = sleep(self.rotation_wait().unwrap_or_default()), if self.rotation_wait().is_some() => {
                    self.advance_rotations();
                }
                _ = beat.tick() => {
                    self.advance_rotations();
                    self.steer()?;
                    self.beat();
                }
                _ = mirror.tick() => self.mirror()?,
                _ = sweep.tick() => self.sweep()?,
                _ = numbers.tick() => self.xfrm.follow(std::time::Instant::now()),
                _ = hangup.recv() => {
                    self.reload().await;
                    self.follow_routes(&mut net)?;
                    mirror = every(self.config.mirror_interval);
                }
            }
        }
        self.close()
    }

    /// Has routes told where some of them are ours.
    fn follow_routes(&self, net: &mut NetEvents) -> Result<(), Failure> {
        if self.drift.watch.has_routes() { Ok(net.follow_routes()?) } else { Ok(()) }
    }

    /// Notes that the maps are complete of this moment.
    fn complete(&mut self, now_ns: u64) -> Result<(), Failure> {
        self.complete_ns = now_ns;
        self.incomplete = None;
        let lease = self.lease();
        if lease.saturating_sub(self.filler.settings().lease_ns) >= RENEWAL_NS {
            self.renew()?;
        }
        Ok(())
    }

    /// Renews the lease, and what the datapath reckons its end by, and says which SA it knows as the newest.
    fn renew(&mut self) -> Result<(), Failure> {
        let mut settings = *self.filler.settings();
        self.tellers.clock(&mut settings)?;
        settings.newest = self.tellers.newest(&self.shared.picture())?;
        settings.lease_ns = self.lease();
        Ok(self.filler.set(|current| *current = settings)?)
    }

    fn lease(&self) -> u64 {
        self.complete_ns.saturating_add(LEASE_NS)
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
