//! The loop of the running agent: events in, maps up to date, lease renewed.

use crate::config::{self, Config};
use crate::datapath::{
    attach::{self, AttachMode, Target},
    fill::{FULL, Filler},
    image::Image,
    load::FlushLog,
    pins::Pins,
};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::net::{self, Link, NetEvent, NetEvents};
use crate::picture::Effect;
use crate::plan::Observed;
use crate::record::Record;
use crate::shared::Shared;
use crate::snapshot::{TcMode, XdpMode};
use crate::xfrm::events::{Event, Events};
use crate::xfrm::netlink::Netlink;
use crate::{clock, install, mirror, sweep};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::Signal;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

/// A picture is trusted for this long without word from the agent.
const LEASE: Duration = Duration::from_secs(5);
/// How often the lease is renewed and the state file written.
const BEAT: Duration = Duration::from_secs(1);
/// Events that come close together are one change: a rekey is four of them.
const SETTLE: Duration = Duration::from_millis(5);
/// How often flows of SAs that are gone are looked for, and the kernel read again in case an event was never sent
/// (`allocspi` sends none).
const SWEEP: Duration = Duration::from_secs(60);

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
    /// The kernel.
    pub xfrm: Netlink,
    /// What is ours in it.
    pub record: Record,
    /// What scrapes read.
    pub shared: Shared,
    /// Logs of a debug object.
    pub logs: Vec<FlushLog>,
}

impl Engine {
    /// Takes over a reading of the kernel and brings the maps up to date.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn take(&mut self, observed: Observed) -> Result<(), Failure> {
        self.shared.picture().read(observed);
        self.refresh()
    }

    /// Brings the maps to the picture, and says whether it is complete.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn refresh(&mut self) -> Result<(), Failure> {
        let image = Image::of(&self.shared.picture());
        let notes = self.filler.fill(&image)?;
        let complete = !notes.iter().any(|note| note.starts_with(FULL));
        let modes = self.config.guard.as_raw();
        self.filler.set(|settings| {
            settings.modes = modes;
            settings.synced = u32::from(complete);
            settings.lease_ns = lease();
        })?;
        let mut state = self.shared.state();
        for note in notes.iter().filter(|note| !state.disabled.contains(note)) {
            tracing::warn!("{note}");
        }
        state.disabled = notes;
        state.in_sync = complete;
        let picture = self.shared.picture();
        state.name(&picture);
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
        Ok(())
    }

    fn attach(&mut self, link: &Link) -> Result<(), Failure> {
        let target = Target {
            name: link.name.clone(),
            ifindex: link.ifindex,
            ethernet: link.ethernet,
            xdp_program: link.xdp_prog_id,
        };
        let attached = attach::attach(&self.pins, &self.config.sizes, &mut self.filler, &target, self.mode)?;
        let xdp = XdpMode::of(&attached.slot).map_or("none", XdpMode::label);
        let tc = TcMode::of(&attached.slot).map_or("none", TcMode::label);
        tracing::info!("attached to {}: xdp {xdp}, tc {tc} {}", link.name, attached.note);
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
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let mut beat = every(BEAT);
        let mut mirror = every(self.config.mirror_interval);
        let mut sweep = every(SWEEP);
        let mut due: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                event = events.next() => self.on_xfrm(event?, &mut due)?,
                event = net.next() => self.on_net(event?).await?,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    due = None;
                    self.refresh()?;
                }
                _ = beat.tick() => self.beat()?,
                _ = mirror.tick() => self.mirror()?,
                _ = sweep.tick() => self.sweep()?,
                _ = hangup.recv() => {
                    self.reload().await;
                    mirror = every(self.config.mirror_interval);
                }
            }
        }
        self.close()
    }

    fn on_xfrm(&mut self, event: Event, due: &mut Option<Instant>) -> Result<(), Failure> {
        let lost = matches!(event, Event::Overrun);
        let effect = self.shared.picture().apply(event);
        match effect {
            Effect::None => Ok(()),
            Effect::Changed => {
                due.get_or_insert_with(|| Instant::now() + SETTLE);
                Ok(())
            }
            Effect::Lost => {
                self.shared.state().netlink_overruns += u64::from(lost);
                self.resync()
            }
        }
    }

    /// Reads everything again; until then nothing is dropped.
    fn resync(&mut self) -> Result<(), Failure> {
        self.filler.set(|settings| settings.synced = 0)?;
        self.shared.state().in_sync = false;
        tracing::warn!("events of the kernel were lost: reading its SAs and policies again");
        let observed = Observed::of(&mut self.xfrm)?;
        self.shared.state().resyncs += 1;
        self.take(observed)
    }

    async fn on_net(&mut self, event: NetEvent) -> Result<(), Failure> {
        match event {
            NetEvent::Address => self.read_addresses().await,
            NetEvent::Link(link) => self.on_link(&link),
            NetEvent::LinkGone { name, .. } => self.on_gone(&name),
            NetEvent::Overrun => {
                for link in net::links().await? {
                    self.on_link(&link)?;
                }
                self.read_addresses().await
            }
        }
    }

    async fn read_addresses(&mut self) -> Result<(), Failure> {
        let addresses = net::addresses().await?;
        self.shared.picture().locals = addresses.into_iter().collect();
        self.refresh()
    }

    /// An interface of ours that is back, or is another one under the same name, is attached again.
    fn on_link(&mut self, link: &Link) -> Result<(), Failure> {
        let ours = self.ifaces.contains(&link.name);
        if !ours || attach::is_attached(&self.filler, &link.name, link.ifindex)? {
            return Ok(());
        }
        if let Err(failure) = self.attach(link) {
            // The others go on; a later event of the link tries again.
            tracing::error!("failed to attach to {} again: {failure}", link.name);
            self.shared.state().iface_notes.insert(link.name.clone(), failure.to_string());
        }
        Ok(())
    }

    fn on_gone(&mut self, name: &str) -> Result<(), Failure> {
        if self.ifaces.iter().any(|iface| iface == name) {
            tracing::warn!("interface {name} is gone: it is attached again when it is back");
            attach::gone(&mut self.filler, name)?;
            self.shared.state().iface_notes.insert(name.to_owned(), "the interface is gone".into());
        }
        Ok(())
    }

    /// Renews the lease and writes the state file.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn beat(&mut self) -> Result<(), Failure> {
        self.filler.set(|settings| settings.lease_ns = lease())?;
        self.logs.iter_mut().for_each(|flush| flush());
        let saved = self.shared.state().save(&self.instance);
        if let Err(error) = saved {
            tracing::warn!(
                "failed to write the state file of {}: {error}",
                self.instance.state_dir.display()
            );
        }
        Ok(())
    }

    /// Copies xfrm_stat.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn mirror(&mut self) -> Result<(), Failure> {
        mirror::copy(self.filler.maps_mut())?;
        self.shared.state().mirror_ns = clock::monotonic_ns();
        Ok(())
    }

    fn sweep(&mut self) -> Result<(), Failure> {
        let observed = Observed::of(&mut self.xfrm)?;
        self.take(observed)?;
        let mut picture = self.shared.picture();
        Ok(sweep::flows(self.filler.maps_mut(), &mut picture, clock::monotonic_ns())?)
    }

    /// Takes a new configuration over, or keeps the old one and says why.
    async fn reload(&mut self) {
        match self.try_reload().await {
            Ok(()) => {
                tracing::info!("configuration read again");
                self.shared.state().reloads_ok += 1;
            }
            Err(failure) => {
                tracing::error!("the new configuration was not taken, the old one stays in force: {failure}");
                self.shared.state().reloads_failed += 1;
            }
        }
    }

    async fn try_reload(&mut self) -> Result<(), Failure> {
        let path = self.path.clone().ok_or(Failure::Usage("there is no configuration to read again"))?;
        let fresh = config::load(&path)?;
        if fresh.sizes != self.config.sizes {
            return Err(Failure::Usage("sizes in [maps] change with a restart only"));
        }
        if fresh.ifaces != self.config.ifaces || fresh.metrics != self.config.metrics {
            tracing::warn!("`interfaces` and `metrics` change with a restart only: those of the start stay");
        }
        let observed = install::install(&fresh, &mut self.xfrm, &mut self.record)?;
        self.shared.picture().name(&fresh);
        self.config = fresh;
        self.take(observed)
    }

    /// What was learnt stays in the maps; without an agent nothing is dropped any more.
    fn close(mut self) -> Result<(), Failure> {
        self.filler.set(|settings| {
            settings.synced = 0;
            settings.lease_ns = 0;
        })?;
        let mut state = self.shared.state();
        state.in_sync = false;
        state.save(&self.instance).map_err(|error| Failure::Task("state file", error.into()))
    }
}

fn lease() -> u64 {
    clock::monotonic_ns() + u64::try_from(LEASE.as_nanos()).unwrap_or(0)
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
