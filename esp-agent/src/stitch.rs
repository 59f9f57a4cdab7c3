//! Which tunnel an SA belongs to: the configuration's own SAs by identity, those of others by request id, XFRM
//! interface, addresses and networks.
//!
//! `Sa + policies that it serves -> name`. An SA that no rule matches has no name.

use crate::xfrm::model::{ESP, Net, ObservedPolicy, PolicyDir, PolicyId, Sa, SaId, Selector, Template};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an SA must have to belong to a tunnel. What is `None` or empty is not asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// The tunnel's name.
    pub tunnel: String,
    /// Request id.
    pub reqid: Option<u32>,
    /// XFRM interface.
    pub if_id: Option<u32>,
    /// Our outer address: source of what leaves, destination of what comes in.
    pub local: Option<IpAddr>,
    /// The peer's outer address.
    pub remote: Option<IpAddr>,
    /// Networks on our side, address and prefix length: a policy of the SA must lie inside one.
    pub local_nets: Vec<(IpAddr, u8)>,
    /// Networks on the peer's side.
    pub remote_nets: Vec<(IpAddr, u8)>,
}

impl Rule {
    /// True when the networks of policies matter.
    #[must_use]
    pub fn asks_for_nets(&self) -> bool {
        !self.local_nets.is_empty() || !self.remote_nets.is_empty()
    }

    fn matches(&self, sa: &Sa, served: &Served<'_>) -> bool {
        self.reqid.is_none_or(|reqid| reqid == sa.reqid)
            && self.if_id.is_none_or(|if_id| if_id == sa.if_id)
            && (self.joins(sa.src, sa.id.dst) || self.joins(sa.id.dst, sa.src))
            && (!self.asks_for_nets() || served.networks(sa).any(|nets| self.covers(nets)))
    }

    fn joins(&self, ours: IpAddr, theirs: IpAddr) -> bool {
        self.local.is_none_or(|local| local == ours) && self.remote.is_none_or(|remote| remote == theirs)
    }

    fn covers(&self, (ours, theirs): (Net, Net)) -> bool {
        let inside = |nets: &[(IpAddr, u8)], net| nets.is_empty() || nets.iter().any(|of| contains(*of, net));
        inside(&self.local_nets, ours) && inside(&self.remote_nets, theirs)
    }
}

fn contains((addr, len): (IpAddr, u8), net: Net) -> bool {
    let bits = |addr: IpAddr| match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()) << 96,
        IpAddr::V6(addr) => addr.to_bits(),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
    addr.is_ipv4() == net.addr.is_ipv4() && net.len >= len && (bits(addr) ^ bits(net.addr)) & mask == 0
}

/// All rules, found without asking each of them.
#[derive(Clone, Default, Debug)]
pub struct Stitch {
    own: HashMap<SaId, String>,
    rules: Vec<Rule>,
    places: HashMap<Place, Vec<usize>>,
}

/// The one part of a rule that it is looked up by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Place {
    Reqid(u32),
    IfId(u32),
    End(IpAddr),
    Any,
}

impl Stitch {
    /// The configuration's own SAs, then rules in the order in which they count: the first that matches names.
    #[must_use]
    pub fn new(own: HashMap<SaId, String>, rules: Vec<Rule>) -> Self {
        let mut places: HashMap<Place, Vec<usize>> = HashMap::new();
        for (index, rule) in rules.iter().enumerate() {
            let place = rule
                .reqid
                .map(Place::Reqid)
                .or(rule.if_id.map(Place::IfId))
                .or(rule.remote.or(rule.local).map(Place::End))
                .unwrap_or(Place::Any);
            places.entry(place).or_default().push(index);
        }
        Self { own, rules, places }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// True when a name may change with a policy.
    #[must_use]
    pub fn asks_for_nets(&self) -> bool {
        self.rules.iter().any(Rule::asks_for_nets)
    }

    /// The tunnel of an SA.
    #[must_use]
    pub fn tunnel(&self, sa: &Sa, served: &Served<'_>) -> Option<&str> {
        let places = [
            Place::Reqid(sa.reqid),
            Place::IfId(sa.if_id),
            Place::End(sa.src),
            Place::End(sa.id.dst),
            Place::Any,
        ];
        let own = self.own.get(&sa.id).map(String::as_str);
        own.or_else(|| {
            let found = places.iter().filter_map(|place| self.places.get(place)).flatten();
            let first = found.filter(|index| self.rules[**index].matches(sa, served)).min();
            first.map(|index| self.rules[*index].tunnel.as_str())
        })
    }
}

/// Policies by the addresses of their templates.
#[derive(Default)]
pub struct Served<'a>(HashMap<(IpAddr, IpAddr), Vec<(&'a Template, &'a PolicyId)>>);

impl<'a> Served<'a> {
    /// Over all policies.
    pub fn of(policies: impl Iterator<Item = &'a ObservedPolicy>) -> Self {
        let mut index: HashMap<_, Vec<_>> = HashMap::new();
        for ObservedPolicy { policy, .. } in policies {
            for template in policy.templates.iter().filter(|template| template.proto == ESP) {
                index.entry((template.src, template.dst)).or_default().push((template, &policy.id));
            }
        }
        Self(index)
    }

    /// Networks that go through an SA, ours first: those of the policies whose template it satisfies
    /// (`xfrm_state_ok` in net/xfrm/xfrm_policy.c), and its own selector either way round.
    fn networks(&self, sa: &Sa) -> impl Iterator<Item = (Net, Net)> {
        let any = any(sa.id.dst);
        let ends = [(sa.src, sa.id.dst), (sa.src, any), (any, sa.id.dst), (any, any)];
        let satisfied = move |(template, id): &&(&Template, &PolicyId)| {
            (template.reqid == 0 || template.reqid == sa.reqid)
                && template.mode == sa.mode
                && id.if_id == sa.if_id
        };
        let served = ends.into_iter().filter_map(|ends| self.0.get(&ends)).flatten().filter(satisfied);
        let served = served.map(|(_, id)| match id.dir {
            PolicyDir::Out => (id.selector.src, id.selector.dst),
            PolicyDir::In | PolicyDir::Fwd => (id.selector.dst, id.selector.src),
        });
        let own = |Selector { src, dst, .. }| [(src, dst), (dst, src)];
        served.chain(sa.selector.map(own).into_iter().flatten())
    }
}

fn any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests;
