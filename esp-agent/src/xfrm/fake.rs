//! The recording stand-in for the kernel's SAD and SPD.

use super::error::{dir_text, selector_text};
use super::interface::{ObservedLink, Part, PartId, XfrmLink};
use super::model::{DefaultPolicy, ObservedPolicy, ObservedSa, Policy, PolicyId, Sa, SaId, SaKeys};
use super::{NetlinkError, Xfrm, XfrmError};

/// A call that would have changed the kernel, failed ones included.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// [`Xfrm::add_sa`].
    AddSa(SaId),
    /// [`Xfrm::update_sa`].
    UpdateSa(SaId),
    /// [`Xfrm::delete_sa`].
    DeleteSa(SaId),
    /// [`Xfrm::add_policy`].
    AddPolicy(PolicyId),
    /// [`Xfrm::update_policy`].
    UpdatePolicy(PolicyId),
    /// [`Xfrm::delete_policy`].
    DeletePolicy(PolicyId),
    /// [`Xfrm::set_default_policy`].
    SetDefaultPolicy(DefaultPolicy),
    /// [`Xfrm::add_part`].
    AddPart(PartId),
    /// [`Xfrm::update_link`].
    UpdateLink(String),
    /// [`Xfrm::delete_part`].
    DeletePart(PartId),
}

/// Holds SAs and policies in memory and refuses duplicates and absent ones as the kernel does.
#[derive(Clone, Debug, Default)]
pub struct FakeXfrm {
    /// The SAD.
    pub sas: Vec<ObservedSa>,
    /// The SPD.
    pub policies: Vec<ObservedPolicy>,
    /// All links.
    pub links: Vec<ObservedLink>,
    /// The default policy, on a kernel that has one.
    pub default_policy: Option<DefaultPolicy>,
    /// Every changing call, in order.
    pub calls: Vec<Call>,
    fail: Option<(usize, i32)>,
}

impl FakeXfrm {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the `nth` changing call from now on (0 is the next one) fail with `errno`; later ones succeed.
    pub fn fail(&mut self, nth: usize, errno: i32) {
        self.fail = Some((self.calls.len() + nth, errno));
    }

    fn record(&mut self, call: Call) -> Result<(), NetlinkError> {
        let at = self.calls.len();
        self.calls.push(call);
        match self.fail {
            Some((nth, errno)) if nth == at => Err(NetlinkError::new(errno)),
            _ => Ok(()),
        }
    }

    fn link(&mut self, name: &str) -> Result<&mut ObservedLink, NetlinkError> {
        self.links.iter_mut().find(|seen| seen.name == name).ok_or(NetlinkError::new(libc::ENODEV))
    }

    fn sa_at(&self, id: &SaId) -> Option<usize> {
        self.sas.iter().position(|observed| observed.sa.id == *id)
    }

    fn policy_at(&self, id: &PolicyId) -> Option<usize> {
        self.policies.iter().position(|observed| observed.policy.id == *id)
    }

    fn observe(&self, policy: &Policy) -> ObservedPolicy {
        let last = self.policies.iter().map(|observed| observed.index / 8).max().unwrap_or_default();
        ObservedPolicy {
            policy: policy.clone(),
            index: (last + 1) * 8 + policy.id.dir as u32,
            added_s: 1,
            used_s: 0,
        }
    }
}

impl Xfrm for FakeXfrm {
    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError> {
        Ok(self.sas.clone())
    }

    fn policies(&mut self) -> Result<Vec<ObservedPolicy>, XfrmError> {
        Ok(self.policies.clone())
    }

    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        assert!(sa.keys.agrees(&keys.print()), "the SA carries the print of the keys that come with it");
        self.record(Call::AddSa(sa.id))
            .and_then(|()| free(self.sa_at(&sa.id)))
            .map_err(|source| XfrmError::AddSa { spi: sa.id.spi, dst: sa.id.dst, source })?;
        self.sas.push(ObservedSa {
            sa: sa.clone(),
            larval: false,
            bytes: 0,
            packets: 0,
            added_s: 1,
            used_s: 0,
            replay_drops: 0,
            integrity_failed: 0,
            now: sa.start,
        });
        Ok(())
    }

    fn sa(&mut self, id: &SaId) -> Result<Option<ObservedSa>, XfrmError> {
        Ok(self.sa_at(id).and_then(|at| self.sas.get(at).cloned()))
    }

    fn update_sa(&mut self, sa: &Sa, _: &SaKeys) -> Result<(), XfrmError> {
        let seen = self
            .record(Call::UpdateSa(sa.id))
            .and_then(|()| {
                self.sas.iter_mut().find(|seen| seen.sa.id == sa.id).ok_or(NetlinkError::new(libc::ESRCH))
            })
            .map_err(|source| XfrmError::UpdateSa { spi: sa.id.spi, dst: sa.id.dst, source })?;
        seen.sa = Sa {
            encap: sa.encap,
            output_mark: sa.output_mark,
            if_id: sa.if_id,
            limits: sa.limits,
            ..seen.sa.clone()
        };
        Ok(())
    }

    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError> {
        let at = self
            .record(Call::DeleteSa(*id))
            .and_then(|()| self.sa_at(id).ok_or(NetlinkError::new(libc::ESRCH)))
            .map_err(|source| XfrmError::DeleteSa { spi: id.spi, dst: id.dst, source })?;
        self.sas.remove(at);
        Ok(())
    }

    fn add_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        let id = &policy.id;
        self.record(Call::AddPolicy(id.clone())).and_then(|()| free(self.policy_at(id))).map_err(
            |source| XfrmError::AddPolicy {
                selector: selector_text(&id.selector),
                dir: dir_text(id.dir),
                source,
            },
        )?;
        self.policies.push(self.observe(policy));
        Ok(())
    }

    fn update_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        let id = &policy.id;
        self.record(Call::UpdatePolicy(id.clone())).map_err(|source| XfrmError::UpdatePolicy {
            selector: selector_text(&id.selector),
            dir: dir_text(id.dir),
            source,
        })?;
        let observed = self.observe(policy);
        self.policies.retain(|other| other.policy.id != *id);
        self.policies.push(observed);
        Ok(())
    }

    fn delete_policy(&mut self, id: &PolicyId) -> Result<(), XfrmError> {
        let at = self
            .record(Call::DeletePolicy(id.clone()))
            .and_then(|()| self.policy_at(id).ok_or(NetlinkError::new(libc::ENOENT)))
            .map_err(|source| XfrmError::DeletePolicy {
                selector: selector_text(&id.selector),
                dir: dir_text(id.dir),
                source,
            })?;
        self.policies.remove(at);
        Ok(())
    }

    fn links(&mut self) -> Result<Vec<ObservedLink>, XfrmError> {
        Ok(self.links.clone())
    }

    fn add_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        let refused = |source| XfrmError::Part { verb: "add", part: part.id(), source };
        self.record(Call::AddPart(part.id())).map_err(refused)?;
        match part {
            Part::Link(link) => {
                free(self.links.iter().position(|seen| seen.name == link.name)).map_err(refused)?;
                let ifindex = 1 + self.links.iter().map(|seen| seen.ifindex).max().unwrap_or(0);
                self.links.push(observed(link, ifindex));
            }
            Part::Address { link, net } => {
                let seen = self.link(link).map_err(refused)?;
                free(seen.addresses.iter().position(|other| other == net)).map_err(refused)?;
                seen.addresses.push(*net);
            }
            Part::Route { link, dst, metric } => {
                let route = (*dst, *metric);
                let taken = self.links.iter().position(|seen| seen.routes.contains(&route));
                free(taken).map_err(refused)?;
                self.link(link).map_err(refused)?.routes.push(route);
            }
        }
        Ok(())
    }

    fn update_link(&mut self, link: &XfrmLink) -> Result<(), XfrmError> {
        let refused =
            |source| XfrmError::Part { verb: "update", part: PartId::Link(link.name.clone()), source };
        self.record(Call::UpdateLink(link.name.clone())).map_err(refused)?;
        let seen = self.link(&link.name).map_err(refused)?;
        (seen.mtu, seen.up) = (link.mtu, true);
        Ok(())
    }

    fn delete_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        let refused = |source| XfrmError::Part { verb: "delete", part: part.id(), source };
        self.record(Call::DeletePart(part.id())).map_err(refused)?;
        let id = part.id();
        let seen = self.link(id.link()).map_err(refused)?;
        let gone = |before: usize, after: usize, errno| {
            if before == after { Err(NetlinkError::new(errno)) } else { Ok(()) }
        };
        match part {
            Part::Link(link) => {
                self.links.retain(|seen| seen.name != link.name);
                Ok(())
            }
            Part::Address { net, .. } => {
                let before = seen.addresses.len();
                seen.addresses.retain(|other| other != net);
                gone(before, seen.addresses.len(), libc::EADDRNOTAVAIL)
            }
            Part::Route { dst, metric, .. } => {
                let before = seen.routes.len();
                seen.routes.retain(|other| *other != (*dst, *metric));
                gone(before, seen.routes.len(), libc::ESRCH)
            }
        }
        .map_err(refused)
    }

    fn apart(&self) -> std::io::Result<Box<dyn Xfrm>> {
        Ok(Box::new(Self::new()))
    }

    fn default_policy(&mut self) -> Result<Option<DefaultPolicy>, XfrmError> {
        Ok(self.default_policy)
    }

    fn set_default_policy(&mut self, policy: DefaultPolicy) -> Result<(), XfrmError> {
        self.record(Call::SetDefaultPolicy(policy))
            .map_err(|source| XfrmError::DefaultPolicy { verb: "set", source })?;
        self.default_policy = Some(policy);
        Ok(())
    }
}

fn observed(link: &XfrmLink, ifindex: u32) -> ObservedLink {
    let XfrmLink { name, if_id, mtu } = link.clone();
    let (addresses, routes) = (Vec::new(), Vec::new());
    ObservedLink { ifindex, name, if_id: Some(if_id), mtu, up: true, addresses, routes }
}

fn free(taken: Option<usize>) -> Result<(), NetlinkError> {
    taken.map_or(Ok(()), |_| Err(NetlinkError::new(libc::EEXIST)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xfrm::model::{Limits, Mark, Net, PolicyAction, PolicyDir, Port, Selector};

    #[test]
    fn refuses_what_the_kernel_refuses_and_fails_on_demand() {
        let net = Net { addr: "10.0.0.0".parse().unwrap(), len: 8 };
        let (sport, dport) = (Port::default(), Port::default());
        let selector = Selector { src: net, dst: net, proto: 0, sport, dport, ifindex: 0 };
        let id = PolicyId { selector, dir: PolicyDir::Out, mark: Mark::default(), if_id: 0 };
        let policy = Policy {
            id: id.clone(),
            priority: 0,
            action: PolicyAction::Block,
            flags: 0,
            templates: Vec::new(),
            limits: Limits::default(),
            offload: None,
        };
        let mut fake = FakeXfrm::new();
        fake.fail(1, libc::ENOMEM);
        fake.add_policy(&policy).unwrap();
        let failed = fake.update_policy(&policy).unwrap_err();
        assert_eq!(
            std::error::Error::source(&failed).unwrap().to_string(),
            "Cannot allocate memory (os error 12)"
        );
        assert!(fake.add_policy(&policy).unwrap_err().already_exists());
        fake.delete_policy(&id).unwrap();
        assert!(fake.delete_policy(&id).unwrap_err().not_found());
        let calls =
            [Call::AddPolicy(id.clone()), Call::UpdatePolicy(id.clone()), Call::AddPolicy(id.clone())];
        assert_eq!(fake.calls[..3], calls);
        assert_eq!(fake.calls[3..], [Call::DeletePolicy(id.clone()), Call::DeletePolicy(id)]);
    }
}
