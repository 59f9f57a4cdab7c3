//! Which selectors each SA may carry: those of the `in` and `fwd` policies whose template it satisfies.

use super::rules;
use crate::picture::Picture;
use crate::xfrm::model::{ESP, Mode, ObservedPolicy, ObservedSa, PolicyAction, PolicyDir, Sa, Template};
use esp_common::{InnerKey, Rule, RuleAction};
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The parts of a template that are looked up rather than compared: reqid, source, destination, with their wildcards.
type Place = (u32, IpAddr, IpAddr);

/// Selectors for each inbound SA, in the order of policy indices.
pub(super) fn compile(picture: &Picture) -> BTreeMap<InnerKey, Vec<Rule>> {
    compile_of(picture, picture.sas.values())
}

/// The same for some of the SAs.
pub(super) fn compile_of<'a>(
    picture: &Picture,
    sas: impl Iterator<Item = &'a ObservedSa>,
) -> BTreeMap<InnerKey, Vec<Rule>> {
    let index = by_place(picture);
    let mut inner: BTreeMap<InnerKey, Vec<Rule>> = BTreeMap::new();
    for observed in sas.filter(|observed| observed.sa.id.proto == ESP && !observed.larval) {
        let sa = &observed.sa;
        let key = key(sa);
        let rules = inner.entry(key).or_default();
        for (policy, template) in places(sa).iter().filter_map(|place| index.get(place)).flatten() {
            let rule = allowing(rules::rule(policy));
            if satisfies(sa, template) && policy.policy.id.if_id == sa.if_id && !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        rules.sort_by_key(|rule| rule.policy);
    }
    inner
}

/// How an SA's selectors are found: several SAs may share them.
pub(super) fn key(sa: &Sa) -> InnerKey {
    InnerKey { remote: sa.src.into(), spi: sa.id.spi, reqid: sa.reqid }
}

/// A match lets the packet pass, whatever the policy asks of clear text.
fn allowing(rule: Rule) -> Rule {
    Rule { verdict: Rule::verdict(rule.verdict & 0x0f, RuleAction::Bypass), ..rule }
}

fn by_place(picture: &Picture) -> HashMap<Place, Vec<(&ObservedPolicy, &Template)>> {
    let mut index: HashMap<Place, Vec<_>> = HashMap::new();
    let inbound = picture.policies.values().filter(|observed| {
        observed.policy.action == PolicyAction::Allow && observed.policy.id.dir != PolicyDir::Out
    });
    for observed in inbound {
        for template in observed.policy.templates.iter().filter(|template| template.proto == ESP) {
            index.entry(place_of(template)).or_default().push((observed, template));
        }
    }
    index
}

/// Transport templates do not compare addresses (`xfrm_state_ok` in net/xfrm/xfrm_policy.c, Linux 6.1).
fn place_of(template: &Template) -> Place {
    if template.mode == Mode::Transport {
        let any = any(template.dst);
        return (template.reqid, any, any);
    }
    (template.reqid, template.src, template.dst)
}

/// Where templates that an SA may satisfy are found.
fn places(sa: &Sa) -> Vec<Place> {
    let any = any(sa.id.dst);
    let mut places = Vec::with_capacity(8);
    for reqid in [sa.reqid, 0] {
        for src in [sa.src, any] {
            for dst in [sa.id.dst, any] {
                if !places.contains(&(reqid, src, dst)) {
                    places.push((reqid, src, dst));
                }
            }
        }
    }
    places
}

fn any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// What the place does not say: mode and SPI.
fn satisfies(sa: &Sa, template: &Template) -> bool {
    sa.mode == template.mode && (template.spi.is_zero() || template.spi == sa.id.spi)
}
