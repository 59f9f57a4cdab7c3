//! Which events may mean drift.

use crate::config::desired::Desired;
use crate::net::NetEvent;
use crate::plan::diff;
use crate::secret::KeyPrint;
use crate::xfrm::events::Event;
use crate::xfrm::interface::{Part, XfrmLink};
use crate::xfrm::model::{DefaultPolicy, Net, Policy, PolicyId, Sa, SaId};
use std::collections::{HashMap, HashSet};

/// What is wanted, by identity.
#[derive(Debug, Default)]
pub struct Watch {
    sas: HashMap<SaId, Sa>,
    policies: HashMap<PolicyId, Policy>,
    default: Option<DefaultPolicy>,
    links: HashMap<String, XfrmLink>,
    routes: HashSet<Net>,
    /// SAs that the kernel ended at their hard limit, and with which keys: they are not to come back with those.
    expired: HashMap<SaId, KeyPrint>,
}

impl Watch {
    /// Takes over what is wanted from now on.
    pub fn want(&mut self, desired: &Desired) {
        self.sas = desired.sas.iter().map(|keyed| (keyed.sa.id, keyed.sa.clone())).collect();
        self.policies =
            desired.policies.iter().map(|named| (named.policy.id.clone(), named.policy.clone())).collect();
        self.default = desired.default_policy;
        (self.links, self.routes) = Default::default();
        for named in &desired.parts {
            match &named.part {
                Part::Link(link) => drop(self.links.insert(link.name.clone(), link.clone())),
                Part::Route { dst, .. } => drop(self.routes.insert(*dst)),
                Part::Address { .. } => {}
            }
        }
        let sas = &self.sas;
        self.expired.retain(|id, print| sas.get(id).is_some_and(|sa| sa.keys.agrees(print)));
    }

    /// True when the kernel is to be read: something that is wanted may be gone or changed.
    pub fn suspects(&mut self, event: &Event) -> bool {
        match event {
            Event::SaAdded(seen) | Event::SaUpdated(seen) => {
                self.expired.remove(&seen.sa.id);
                self.sas.get(&seen.sa.id).is_some_and(|sa| !diff::sa(sa, seen).is_empty())
            }
            Event::SaExpired { id, hard: true, .. } => {
                if let Some(sa) = self.sas.get(id) {
                    self.expired.insert(*id, sa.keys);
                }
                false
            }
            Event::SaDeleted(id) => self.sas.contains_key(id),
            // 0 and 255 (IPSEC_PROTO_ANY) stand for all protocols.
            Event::SaFlushed { proto } => {
                self.sas.keys().any(|id| matches!(proto, 0 | 255) || *proto == id.proto)
            }
            Event::PolicyAdded(seen) | Event::PolicyUpdated(seen) => {
                let wanted = self.policies.get(&seen.policy.id);
                wanted.is_some_and(|policy| !diff::policy(policy, &seen.policy).is_empty())
            }
            Event::PolicyDeleted { id, .. } | Event::PolicyExpired { id, hard: true, .. } => {
                self.policies.contains_key(id)
            }
            Event::PolicyFlushed => !self.policies.is_empty(),
            Event::PolicyDefault { inbound, forward, out } => {
                let now = DefaultPolicy { inbound: *inbound, forward: *forward, outbound: *out };
                self.default.is_some_and(|wanted| wanted != now)
            }
            Event::SaExpired { hard: false, .. }
            | Event::PolicyExpired { hard: false, .. }
            | Event::SaProgressed(_)
            | Event::Acquire(_)
            | Event::Mapping { .. }
            | Event::Reported { .. }
            | Event::Unknown { .. } => false,
            // All is read again in any case.
            Event::Migrated(_) | Event::Overrun | Event::Unreadable { .. } => false,
        }
    }

    /// True when routes are wanted.
    #[must_use]
    pub fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    /// As [`Watch::suspects`], of links, addresses and routes.
    #[must_use]
    pub fn suspects_net(&self, event: &NetEvent) -> bool {
        match event {
            NetEvent::Link(link) => self.links.get(&link.name).is_some_and(|wanted| {
                (link.xfrm_if_id, link.mtu, link.up) != (Some(wanted.if_id), wanted.mtu, true)
            }),
            NetEvent::LinkGone { name, .. } => self.links.contains_key(name),
            NetEvent::Route(dst) => self.routes.contains(dst),
            NetEvent::Address | NetEvent::Overrun => !self.links.is_empty(),
        }
    }

    /// What is wanted without the SAs that have reached their hard limit.
    #[must_use]
    pub fn living(&self, desired: Desired) -> Desired {
        let lives = |id: &SaId| !self.expired.contains_key(id);
        Desired { sas: desired.sas.into_iter().filter(|keyed| lives(&keyed.sa.id)).collect(), ..desired }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::{lab, observed, sa};
    use crate::xfrm::decode::event::Expiry;
    use crate::xfrm::model::{PolicyAction, SaDir};

    fn watch() -> Watch {
        let mut watch = Watch::default();
        watch.want(&lab());
        watch
    }

    fn expired(id: SaId, hard: bool) -> Event {
        let detail = Expiry { src: id.dst, reqid: 0, if_id: 0, dir: None, bytes: 0, packets: 0 };
        Event::SaExpired { id, hard, detail: Box::new(detail) }
    }

    #[test]
    fn what_is_ours_and_gone_or_changed_is_suspect() {
        let mut there = observed(&lab());
        let (id, policy) = (there.sas[0].sa.id, there.policies[0].policy.id.clone());
        there.sas[0].sa.reqid = 9;
        there.policies[0].policy.priority = 9;
        let events = [
            Event::SaDeleted(id),
            Event::SaFlushed { proto: 0 },
            Event::SaFlushed { proto: 50 },
            Event::SaUpdated(Box::new(there.sas[0].clone())),
            Event::PolicyDeleted { index: 8, id: policy.clone() },
            Event::PolicyExpired { index: 8, id: policy, hard: true },
            Event::PolicyUpdated(Box::new(there.policies[0].clone())),
            Event::PolicyFlushed,
        ];
        for event in events {
            assert!(watch().suspects(&event), "{event:?}");
        }
    }

    #[test]
    fn a_default_policy_is_suspect_where_it_is_ours() {
        let [inbound, forward, out] = [PolicyAction::Allow, PolicyAction::Block, PolicyAction::Allow];
        let event = Event::PolicyDefault { inbound, forward, out };
        let mut watch = watch();
        assert!(!watch.suspects(&event));
        let accept = DefaultPolicy { inbound, forward: PolicyAction::Allow, outbound: out };
        watch.want(&Desired { default_policy: Some(accept), ..lab() });
        assert!(watch.suspects(&event));
        watch.want(&Desired { default_policy: Some(DefaultPolicy { forward, ..accept }), ..lab() });
        assert!(!watch.suspects(&event));
    }

    #[test]
    fn our_own_additions_and_objects_of_others_are_not() {
        let there = observed(&lab());
        let other = sa("10.9.9.9", "10.9.9.8", 0x7777, SaDir::Out);
        let events = [
            Event::SaAdded(Box::new(there.sas[0].clone())),
            Event::PolicyAdded(Box::new(there.policies[0].clone())),
            Event::SaDeleted(other.id),
            Event::SaFlushed { proto: 51 },
            expired(there.sas[0].sa.id, false),
        ];
        for event in events {
            assert!(!watch().suspects(&event), "{event:?}");
        }
        assert!(!Watch::default().suspects(&Event::SaFlushed { proto: 0 }));
    }

    #[test]
    fn an_sa_that_the_kernel_ended_stays_away_until_it_has_other_keys() {
        let mut watch = watch();
        let id = lab().sas[0].sa.id;
        assert!(!watch.suspects(&expired(id, true)));
        assert_eq!(watch.living(lab()).sas.len(), 1);
        watch.want(&lab());
        assert_eq!(watch.living(lab()).sas.len(), 1);
        let mut rekeyed = lab();
        rekeyed.sas[0].sa.keys = KeyPrint::of(b"another key");
        watch.want(&rekeyed);
        assert_eq!(watch.living(rekeyed).sas.len(), 2);
    }
}
