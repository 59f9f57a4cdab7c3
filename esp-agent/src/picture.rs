//! What the agent knows of the kernel's SAs and policies: read once, then kept by events.

use crate::config::Config;
use crate::plan::Observed;
use crate::xfrm::events::Event;
use crate::xfrm::model::{ObservedPolicy, ObservedSa, PolicyId, SaId};
use std::collections::{BTreeSet, HashMap, HashSet};
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
    /// Our own addresses.
    pub locals: BTreeSet<IpAddr>,
    /// Tunnels of the configuration's SAs, kept while their flows are.
    pub tunnels: HashMap<SaId, String>,
    /// Names of the configuration's policies.
    pub policy_names: HashMap<PolicyId, String>,
}

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

impl Picture {
    /// Takes over a full reading.
    pub fn read(&mut self, observed: Observed) {
        self.sas = observed.sas.into_iter().map(|sa| (sa.sa.id, sa)).collect();
        self.policies = observed.policies.into_iter().map(|policy| (policy.index, policy)).collect();
        self.dying.retain(|id| self.sas.contains_key(id));
    }

    /// Takes over the names of a configuration. Tunnels of SAs that are gone stay, for the sake of their counters.
    pub fn name(&mut self, config: &Config) {
        let desired = config.desired();
        let named = desired.sas.into_iter().filter_map(|keyed| Some((keyed.sa.id, keyed.tunnel?)));
        self.tunnels.extend(named);
        self.policy_names = desired.policies.into_iter().map(|named| (named.policy.id, named.name)).collect();
    }

    /// Takes SAs of a configuration for granted that are about to be added, until the next reading.
    pub fn expect(&mut self, config: &Config) {
        for keyed in config.desired().sas {
            self.sas.entry(keyed.sa.id).or_insert_with(|| ObservedSa::fresh(keyed.sa));
        }
    }

    /// Takes over one event.
    pub fn apply(&mut self, event: Event) -> Effect {
        match event {
            Event::SaAdded(sa) | Event::SaUpdated(sa) => {
                self.dying.remove(&sa.sa.id);
                self.sas.insert(sa.sa.id, *sa);
                Effect::Changed
            }
            Event::SaDeleted(id) | Event::SaExpired { id, hard: true } => self.forget(|sa| *sa == id),
            Event::SaExpired { id, hard: false } => {
                self.dying.insert(id);
                Effect::None
            }
            // 0 and 255 (IPSEC_PROTO_ANY) stand for all protocols.
            Event::SaFlushed { proto: 0 | 255 } => self.forget(|_| true),
            Event::SaFlushed { proto } => self.forget(|sa| sa.proto == proto),
            Event::PolicyAdded(policy) | Event::PolicyUpdated(policy) => {
                // An update of a selector may come with a new index.
                self.policies.retain(|_, other| other.policy.id != policy.policy.id);
                self.policies.insert(policy.index, *policy);
                Effect::Changed
            }
            Event::PolicyDeleted { index, id } | Event::PolicyExpired { index, id, hard: true } => {
                self.policies.retain(|other, policy| *other != index && policy.policy.id != id);
                Effect::Changed
            }
            Event::PolicyExpired { hard: false, .. } | Event::Acquire { .. } => Effect::None,
            Event::PolicyFlushed => {
                self.policies.clear();
                Effect::Changed
            }
            // Only ports and the source change, neither of which is part of a key.
            Event::Mapping { .. } => Effect::None,
            Event::Overrun | Event::Unreadable { .. } => Effect::Lost,
        }
    }

    /// The name of a policy: the configuration's, else its selector and direction.
    #[must_use]
    pub fn policy_name(&self, index: u32) -> String {
        let Some(observed) = self.policies.get(&index) else {
            return if index == 0 { String::new() } else { format!("index {index} (gone)") };
        };
        let id = &observed.policy.id;
        self.policy_names.get(id).cloned().unwrap_or_else(|| crate::plan::text::PolicyName(id).to_string())
    }

    fn forget(&mut self, gone: impl Fn(&SaId) -> bool) -> Effect {
        self.sas.retain(|id, _| !gone(id));
        self.dying.retain(|id| !gone(id));
        Effect::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_events_ask_for_a_reading() {
        assert_eq!(Picture::default().apply(Event::Overrun), Effect::Lost);
        assert_eq!(Picture::default().apply(Event::Unreadable { kind: 0 }), Effect::Lost);
    }

    #[test]
    fn a_flush_of_all_protocols_empties_the_sas() {
        let mut picture = Picture::default();
        assert_eq!(picture.apply(Event::SaFlushed { proto: 0 }), Effect::Changed);
        assert!(picture.sas.is_empty());
    }
}
