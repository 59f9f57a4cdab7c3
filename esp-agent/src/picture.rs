//! What the agent knows of the kernel's SAs and policies: read once, then kept by events.

use crate::config::Config;
use crate::plan::Observed;
use crate::stitch::{Rule, Served, Stitch};
use crate::tombstone::{Cause, Tombstone, Tombstones};
use crate::xfrm::events::Event;
use crate::xfrm::model::{ESP, Mark, ObservedPolicy, ObservedSa, PolicyId, Sa, SaId};
use crate::xfrm::order::Order;
use esp_common::Spi;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

/// SAs, policies, own addresses, and the names that a configuration gives them.
#[derive(Clone, Default, Debug)]
pub struct Picture {
    /// All SAs.
    pub sas: HashMap<SaId, ObservedSa>,
    /// SAs past a soft limit.
    pub dying: HashSet<SaId>,
    /// All policies by their index.
    pub policies: HashMap<u32, ObservedPolicy>,
    /// In which order the kernel tries them.
    pub order: Order,
    /// Index of each policy that an event may name.
    pub indices: HashMap<PolicyId, u32>,
    /// Our own addresses.
    pub locals: BTreeSet<IpAddr>,
    /// Tunnels of SAs, kept while their flows are.
    pub tunnels: HashMap<SaId, String>,
    /// Names of the configuration's policies.
    pub policy_names: HashMap<PolicyId, String>,
    /// Names of policies that a running agent has told, by index, where there is no configuration at hand.
    pub told_names: BTreeMap<u32, String>,
    /// Which tunnel an SA belongs to.
    pub stitch: Stitch,
    /// SAs that are gone.
    pub tombstones: Tombstones,
    /// How many SAs with keys each line has.
    pub lines: HashMap<Line, usize>,
    /// SAs that changed since the maps were brought up to date.
    pub touched: HashSet<SaId>,
    /// Of those, what was there before.
    pub parted: Vec<Sa>,
    /// More than SAs one by one has changed.
    pub whole: bool,
    /// Names are to be worked out again, as policies have a say in them.
    pub restitch: bool,
    /// Names are not those of the state file.
    pub renamed: bool,
}

/// What an SA and the one that replaces it have in common.
pub type Line = (IpAddr, IpAddr, u32, u32);

/// What an event asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing that the datapath shows.
    None,
    /// The maps are to be brought up to date.
    Changed,
    /// Events were lost: the kernel is to be read again.
    Lost,
}

/// When an event came and whether the agent itself was its cause.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Seconds since the epoch.
    pub now_s: u64,
    /// The change was asked for by our own socket.
    pub ours: bool,
}

impl Picture {
    /// Takes over a full reading.
    pub fn read(&mut self, observed: Observed, now_s: u64) {
        let fresh: HashMap<SaId, ObservedSa> = observed.sas.into_iter().map(|sa| (sa.sa.id, sa)).collect();
        let gone: Vec<SaId> = self.sas.keys().filter(|id| !fresh.contains_key(id)).copied().collect();
        for id in gone {
            self.remove(&id, now_s, |_, _| Cause::Unseen);
        }
        self.sas = fresh;
        self.policies = observed.policies.into_iter().map(|policy| (policy.index, policy)).collect();
        self.indices = self.policies.values().map(|known| (known.policy.id.clone(), known.index)).collect();
        self.dying.retain(|id| self.sas.contains_key(id));
        self.lines.clear();
        for observed in self.sas.values() {
            self.tombstones.raise(observed.sa.id.dst, observed.sa.id.spi);
            join(&mut self.lines, observed);
        }
        self.stitch_all();
    }

    /// Takes over the names of a configuration. Tunnels of SAs that are gone stay, for the sake of their counters.
    pub fn name(&mut self, config: &Config) {
        let desired = config.desired();
        let own: HashMap<SaId, String> =
            desired.sas.into_iter().filter_map(|keyed| Some((keyed.sa.id, keyed.tunnel?))).collect();
        self.tunnels.extend(own.iter().map(|(id, tunnel)| (*id, tunnel.clone())));
        self.policy_names = desired.policies.into_iter().map(|named| (named.policy.id, named.name)).collect();
        self.stitch = Stitch::new(own, config.name_rules());
        self.stitch_all();
    }

    /// Takes over what an earlier agent left: names of SAs, for the sake of their counters, and tombstones.
    pub fn remember(&mut self, named: impl IntoIterator<Item = (IpAddr, Spi, String)>, gone: Vec<Tombstone>) {
        let mark = Mark::default();
        let id = |dst, spi| SaId { dst, spi, proto: ESP, mark };
        self.tunnels = named.into_iter().map(|(dst, spi, tunnel)| (id(dst, spi), tunnel)).collect();
        self.tombstones = gone.into_iter().collect();
        self.renamed = true;
    }

    /// The rules alone, where there is no configuration at hand.
    pub fn rules(&mut self, rules: Vec<Rule>) {
        self.stitch = Stitch::new(HashMap::new(), rules);
    }

    /// Takes SAs of a configuration for granted that are about to be added, until the next reading.
    pub fn expect(&mut self, config: &Config) {
        for keyed in config.desired().sas {
            self.sas.entry(keyed.sa.id).or_insert_with(|| ObservedSa::fresh(keyed.sa));
        }
    }

    /// Takes over one event.
    pub fn apply(&mut self, event: Event, origin: Origin) -> Effect {
        match event {
            Event::SaAdded(sa) | Event::SaUpdated(sa) => self.put_sa(*sa),
            Event::SaDeleted(id) => self.delete(&id, origin),
            Event::SaExpired { id, hard: true, .. } => self.remove(&id, origin.now_s, |_, _| Cause::Expired),
            Event::SaExpired { id, hard: false, .. } => {
                self.dying.insert(id);
                Effect::None
            }
            Event::SaFlushed { proto } => self.flush(proto, origin),
            Event::PolicyAdded(policy) | Event::PolicyUpdated(policy) => self.put_policy(*policy),
            Event::PolicyDeleted { index, id } | Event::PolicyExpired { index, id, hard: true } => {
                self.whole = true;
                self.policies.remove(&index);
                self.told_names.remove(&index);
                let old = self.indices.remove(&id).filter(|old| *old != index);
                old.map(|old| self.policies.remove(&old));
                Effect::Changed
            }
            Event::PolicyFlushed => {
                self.whole = true;
                self.policies.clear();
                self.indices.clear();
                Effect::Changed
            }
            // The kernel tells of no SA or policy that moved, only of the migration.
            Event::Migrated(_) | Event::Overrun | Event::Unreadable { .. } => Effect::Lost,
            // Of a mapping only ports and the source change, neither of which is part of a key.
            Event::Mapping { .. }
            | Event::PolicyExpired { hard: false, .. }
            | Event::PolicyDefault { .. }
            | Event::SaProgressed(_)
            | Event::Acquire(_)
            | Event::Reported { .. }
            | Event::Unknown { .. } => Effect::None,
        }
    }

    /// The name of a policy: the configuration's, else its selector and direction.
    #[must_use]
    pub fn policy_name(&self, index: u32) -> String {
        let Some(observed) = self.policies.get(&index) else {
            return if index == 0 { String::new() } else { format!("index {index} (gone)") };
        };
        let id = &observed.policy.id;
        let named = self.policy_names.get(id).or_else(|| self.told_names.get(&index));
        named.cloned().unwrap_or_else(|| crate::plan::text::PolicyName(id).to_string())
    }

    /// The tunnel of an SA; empty if none.
    #[must_use]
    pub fn tunnel(&self, id: &SaId) -> &str {
        self.tunnels.get(id).map_or("", String::as_str)
    }

    fn put_sa(&mut self, observed: ObservedSa) -> Effect {
        let id = observed.sa.id;
        self.dying.remove(&id);
        self.tombstones.raise(id.dst, id.spi);
        self.restitch |= self.stitch.asks_for_nets();
        self.touched.insert(id);
        if !self.restitch {
            let tunnel = self.stitch.tunnel(&observed.sa, &Served::default()).map(str::to_owned);
            self.set_tunnel(id, tunnel);
        }
        join(&mut self.lines, &observed);
        if let Some(old) = self.sas.insert(id, observed) {
            self.part(&old);
        }
        Effect::Changed
    }

    fn put_policy(&mut self, policy: ObservedPolicy) -> Effect {
        // An update of a selector may come with a new index.
        let old = self.indices.insert(policy.policy.id.clone(), policy.index);
        old.filter(|old| *old != policy.index).map(|old| self.policies.remove(&old));
        self.renamed = true;
        self.whole = true;
        self.restitch |= self.stitch.asks_for_nets();
        self.policies.insert(policy.index, policy);
        Effect::Changed
    }

    fn delete(&mut self, id: &SaId, origin: Origin) -> Effect {
        let cause = |lines: &HashMap<Line, usize>, line: &Line| match origin.ours {
            true => Cause::ByUs,
            false if lines.contains_key(line) => Cause::Rekeyed,
            false => Cause::Deleted,
        };
        let lines = &self.lines;
        self.tombstones.explain(id.dst, id.spi, |stone| {
            // The interface is not known any more: with the ends and the request id it is as good as certain.
            let twin =
                lines.keys().find(|line| (line.0, line.1, line.2) == (stone.src, stone.dst, stone.reqid));
            twin.map_or(if origin.ours { Cause::ByUs } else { Cause::Deleted }, |line| cause(lines, line))
        });
        self.remove(id, origin.now_s, cause)
    }

    /// 0 and 255 (`IPSEC_PROTO_ANY`) stand for all protocols.
    fn flush(&mut self, proto: u8, origin: Origin) -> Effect {
        let all = matches!(proto, 0 | 255);
        let gone: Vec<SaId> = self.sas.keys().filter(|id| all || id.proto == proto).copied().collect();
        let cause = if origin.ours { Cause::ByUs } else { Cause::Flushed };
        for id in gone {
            self.remove(&id, origin.now_s, |_, _| cause);
        }
        Effect::Changed
    }

    fn remove(
        &mut self,
        id: &SaId,
        now_s: u64,
        cause: impl Fn(&HashMap<Line, usize>, &Line) -> Cause,
    ) -> Effect {
        self.dying.remove(id);
        let Some(gone) = self.sas.remove(id) else { return Effect::Changed };
        self.touched.insert(*id);
        self.part(&gone);
        if id.proto == ESP && !id.spi.is_zero() {
            self.tombstones.bury(Tombstone {
                dst: id.dst,
                spi: id.spi.number(),
                src: gone.sa.src,
                reqid: gone.sa.reqid,
                tunnel: self.tunnel(id).to_owned(),
                gone_s: now_s,
                cause: cause(&self.lines, &line(&gone.sa)),
            });
        }
        Effect::Changed
    }

    fn part(&mut self, observed: &ObservedSa) {
        let line = line(&observed.sa);
        if !self.whole {
            self.parted.push(observed.sa.clone());
        }
        if observed.larval {
            return;
        }
        if let Some(count) = self.lines.get_mut(&line) {
            *count -= 1;
            if *count == 0 {
                self.lines.remove(&line);
            }
        }
    }

    /// Brings names up to date that depend on policies: once for all events that came together.
    pub fn settle(&mut self) {
        if self.restitch {
            self.stitch_all();
        }
    }

    /// The maps are what the picture is.
    pub fn shown(&mut self) {
        self.touched.clear();
        self.parted.clear();
        self.whole = false;
    }

    fn stitch_all(&mut self) {
        self.restitch = false;
        self.whole = true;
        let served = Served::of(self.policies.values());
        let names = self
            .sas
            .values()
            .map(|observed| (observed.sa.id, self.stitch.tunnel(&observed.sa, &served).map(str::to_owned)));
        for (id, tunnel) in names.collect::<Vec<_>>() {
            self.set_tunnel(id, tunnel);
        }
        self.renamed = true;
    }

    fn set_tunnel(&mut self, id: SaId, tunnel: Option<String>) {
        let old = match tunnel {
            Some(tunnel) if self.tunnels.get(&id) == Some(&tunnel) => return,
            Some(tunnel) => self.tunnels.insert(id, tunnel),
            None => self.tunnels.remove(&id),
        };
        self.renamed |= old.is_some() || self.tunnels.contains_key(&id);
    }
}

fn join(lines: &mut HashMap<Line, usize>, observed: &ObservedSa) {
    if !observed.larval {
        *lines.entry(line(&observed.sa)).or_default() += 1;
    }
}

fn line(sa: &Sa) -> Line {
    (sa.src, sa.id.dst, sa.reqid, sa.if_id)
}

#[cfg(test)]
mod tests;
