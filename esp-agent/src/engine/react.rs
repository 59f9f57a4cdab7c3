//! What the kernel tells: changes of SAs and policies, of links and addresses.

use super::{Engine, SETTLE};
use crate::clock;
use crate::datapath::attach;
use crate::failure::Failure;
use crate::net::{self, Link, NetEvent};
use crate::picture::{Effect, Origin};
use crate::plan::Observed;
use crate::xfrm::events::{Event, Told};
use std::collections::BTreeSet;
use std::net::IpAddr;
use tokio::time::Instant;

impl Engine {
    pub(super) fn on_xfrm(&mut self, told: Told, due: &mut Option<Instant>) -> Result<(), Failure> {
        self.watch(&told.event);
        let lost = matches!(told.event, Event::Overrun);
        self.shared.state().count(told.event.label());
        let origin = Origin { now_s: clock::unix_s(), ours: told.port == self.port };
        let effect = self.shared.picture().apply(told.event, origin);
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

    /// One full reading, timed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn observe(&mut self) -> Result<Observed, Failure> {
        let start = Instant::now();
        let observed = Observed::of(&mut self.xfrm)?;
        self.shared.state().read_ns = nanos(start.elapsed());
        Ok(observed)
    }

    /// Reads everything again; until then nothing is dropped.
    pub(super) fn resync(&mut self) -> Result<(), Failure> {
        self.filler.set(|settings| settings.synced = 0)?;
        self.shared.state().in_sync = false;
        tracing::warn!("events of the kernel were lost: reading its SAs and policies again");
        let observed = self.observe()?;
        self.shared.state().resyncs += 1;
        self.reconcile(observed)
    }

    pub(super) async fn on_net(&mut self, event: NetEvent) -> Result<(), Failure> {
        self.watch_net(&event);
        match event {
            NetEvent::Route(_) => Ok(()),
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

    pub(super) async fn read_addresses(&mut self) -> Result<(), Failure> {
        let addresses = net::addresses().await?;
        let locals: BTreeSet<IpAddr> = addresses.into_iter().collect();
        self.xfrm.set_locals(locals.clone());
        self.shared.picture().locals = locals;
        self.open_sockets();
        self.refresh()
    }

    /// An interface of ours that is back, or is another one under the same name, is attached again.
    pub(super) fn on_link(&mut self, link: &Link) -> Result<(), Failure> {
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

    pub(super) fn on_gone(&mut self, name: &str) -> Result<(), Failure> {
        if self.ifaces.iter().any(|iface| iface == name) {
            tracing::warn!("interface {name} is gone: it is attached again when it is back");
            attach::gone(&mut self.filler, name)?;
            self.shared.state().iface_notes.insert(name.to_owned(), "the interface is gone".into());
        }
        Ok(())
    }
}

pub(super) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
