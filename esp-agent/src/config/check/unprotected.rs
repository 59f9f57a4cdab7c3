//! Rules of one `[[bypass]]` or `[[discard]]`, and the policies that it becomes.

use super::tunnel::{same_family, side_or};
use crate::config::derive;
use crate::config::desired::NamedPolicy;
use crate::config::raw::unprotected::RawUnprotected;
use crate::config::report::{Located, Report};
use crate::xfrm::model::{Limits, Mark, Net, Policy, PolicyAction, PolicyDir, PolicyId, Selector};
use std::net::{Ipv4Addr, Ipv6Addr};

/// ICMP, GRE, ICMPv6 and mobility: what stands in place of their ports has no direction.
const WITHOUT_SIDES: [u8; 4] = [1, 47, 58, 135];

/// The policies of a table, the `number`th of its kind: none of them has a template.
pub(in crate::config) fn check(
    raw: &RawUnprotected,
    number: usize,
    report: &Report,
) -> Vec<Located<NamedPolicy>> {
    let Some(networks) = networks(raw, report) else { return Vec::new() };
    let name =
        raw.name.as_ref().map_or_else(|| format!("{}-{number}", kind(raw.action)), |name| name.value.clone());
    let at = raw.name.as_ref().map_or(&raw.at, |name| &name.at);
    let mut policies = Vec::new();
    for (index, networks) in networks.into_iter().enumerate() {
        for dir in raw.dirs {
            let suffix = if index == 0 { String::new() } else { format!("/{}", index + 1) };
            let name = format!("{name}/{}{suffix}", derive::label(*dir));
            let (policy, device) = (policy(raw, *dir, networks), raw.device.clone());
            let value = NamedPolicy { policy, name, tunnel: None, device };
            policies.push(Located { value, at: at.clone() });
        }
    }
    policies
}

const fn kind(action: PolicyAction) -> &'static str {
    match action {
        PolicyAction::Allow => "bypass",
        PolicyAction::Block => "discard",
    }
}

/// Pairs of one family, ours first. A side that is not named is all hosts.
fn networks(raw: &RawUnprotected, report: &Report) -> Option<Vec<(Net, Net)>> {
    if raw.local_nets.is_none() && raw.remote_nets.is_none() && raw.protocol == 0 {
        report.error(&raw.at, "would hold for all traffic: name local_net, remote_net or protocol");
        return None;
    }
    let any = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()].map(|addr| Net { addr, len: 0 });
    let ours = side_or(report, raw.local_nets.as_ref(), &any);
    let theirs = side_or(report, raw.remote_nets.as_ref(), &any);
    let (ours, theirs) = (ours?, theirs?);
    for (nets, others) in [(&raw.local_nets, &theirs), (&raw.remote_nets, &ours)] {
        for net in nets.iter().flat_map(|nets| &nets.nets) {
            if !others.iter().any(|other| same_family(*other, net.value)) {
                report.error(&net.at, "has no network of its family on the other side");
            }
        }
    }
    let pairs = ours.iter().flat_map(|our| theirs.iter().map(move |their| (*our, *their)));
    Some(pairs.filter(|(our, their)| same_family(*our, *their)).collect())
}

fn policy(raw: &RawUnprotected, dir: PolicyDir, (ours, theirs): (Net, Net)) -> Policy {
    let [near, far] = raw.ports;
    let outbound = dir == PolicyDir::Out;
    let swap = !outbound && !WITHOUT_SIDES.contains(&raw.protocol);
    let (src, dst) = if outbound { (ours, theirs) } else { (theirs, ours) };
    let (sport, dport) = if swap { (far, near) } else { (near, far) };
    let selector = Selector { src, dst, proto: raw.protocol, sport, dport, ifindex: 0 };
    Policy {
        id: PolicyId { selector, dir, mark: Mark::default(), if_id: 0 },
        priority: raw.priority.unwrap_or_else(|| derive::priority_beside(&selector)),
        action: raw.action,
        flags: 0,
        templates: Vec::new(),
        limits: Limits::default(),
        offload: None,
    }
}
