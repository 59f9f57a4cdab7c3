//! Lints of policies.

use super::code::LintCode;
use super::{Finding, Scene, Subject};
use crate::xfrm::model::{
    Mode, Net, ObservedPolicy, ObservedSa, Policy, PolicyDir, PolicyId, Port, Selector, Template,
};
use std::collections::HashSet;
use std::net::IpAddr;

/// Everything that is found about the policies of `scene`. Those that sockets carry are left alone.
pub(super) fn look(scene: &Scene<'_>) -> Vec<Finding> {
    let policies: Vec<(usize, &Policy)> = scene
        .policies
        .iter()
        .enumerate()
        .filter(|(_, seen)| !of_socket(seen))
        .map(|(index, seen)| (index, &seen.policy))
        .collect();
    let ids: HashSet<&PolicyId> = policies.iter().map(|(_, policy)| &policy.id).collect();
    let mut found = Vec::new();
    for (index, policy) in &policies {
        let mut say = |code, reason: String, fix: &str| {
            let (object, subject) = (name(policy), Subject::Policy(*index));
            found.push(Finding { code, object, reason, fix: fix.to_owned(), subject });
        };
        let tunnels = policy.templates.iter().any(|template| template.mode == Mode::Tunnel);
        if scene.facts.all_policies && tunnels {
            if let Some(reason) = missing_fwd(policy, &ids, scene.facts.forwarding) {
                say(LintCode::MissingFwd, reason.to_owned(), "add the same policy with dir fwd");
            }
            if no_way_back(policy, &policies) {
                let reason = "neither an `in` nor a `fwd` policy for the way back: answers are decrypted and dropped (XfrmInNoPols)";
                say(
                    LintCode::NoWayBack,
                    reason.to_owned(),
                    "add the mirrored policy with dir in and dir fwd",
                );
            }
        }
        if scene.facts.all_sas && policy.id.dir == PolicyDir::Out {
            let lacks = |template: &&Template| !template.optional && !has_state(policy, template, scene.sas);
            if let Some(template) = policy.templates.iter().find(lacks) {
                let reason = format!(
                    "no SA to {} with reqid {} fits its template: packets wait for an acquire, then are dropped (XfrmOutNoStates)",
                    template.dst, template.reqid
                );
                say(LintCode::NoState, reason, "add the SA, or see that the IKE daemon answers acquires");
            }
        }
    }
    found.extend(shadowed(&policies));
    found
}

/// The low three bits of the index are the direction; 3 and above are policies of sockets (`XFRM_POLICY_MAX`).
const fn of_socket(seen: &ObservedPolicy) -> bool {
    seen.index & 7 >= 3
}

/// A policy in words.
fn name(policy: &Policy) -> String {
    let Selector { src, dst, .. } = policy.id.selector;
    format!("policy {} {}/{} -> {}/{}", label(policy.id.dir), src.addr, src.len, dst.addr, dst.len)
}

const fn label(dir: PolicyDir) -> &'static str {
    match dir {
        PolicyDir::In => "in",
        PolicyDir::Out => "out",
        PolicyDir::Fwd => "fwd",
    }
}

fn missing_fwd(policy: &Policy, ids: &HashSet<&PolicyId>, forwarding: Option<bool>) -> Option<&'static str> {
    let twin = PolicyId { dir: PolicyDir::Fwd, ..policy.id.clone() };
    if policy.id.dir != PolicyDir::In || ids.contains(&twin) {
        return None;
    }
    match forwarding {
        Some(false) => None,
        Some(true) => Some(
            "forwarding is on and there is no `fwd` twin: decrypted packets for networks behind this host are dropped",
        ),
        None => {
            Some("an `in` policy without `fwd`: decrypted packets for networks behind this host are dropped")
        }
    }
}

fn no_way_back(policy: &Policy, policies: &[(usize, &Policy)]) -> bool {
    let selector = &policy.id.selector;
    policy.id.dir == PolicyDir::Out
        && !policies.iter().any(|(_, back)| {
            back.id.dir != PolicyDir::Out
                && back.id.if_id == policy.id.if_id
                && meets(back.id.selector.src, selector.dst)
                && meets(back.id.selector.dst, selector.src)
        })
}

fn has_state(policy: &Policy, template: &Template, sas: &[ObservedSa]) -> bool {
    sas.iter().any(|seen| {
        let sa = &seen.sa;
        !seen.larval
            && sa.id.proto == template.proto
            && sa.mode == template.mode
            && sa.if_id == policy.id.if_id
            && (template.reqid == 0 || sa.reqid == template.reqid)
            && (template.spi.is_zero() || sa.id.spi == template.spi)
            && (template.dst.is_unspecified() || sa.id.dst == template.dst)
    })
}

/// The kernel takes the matching policy of smallest priority; among equals the older one, which a list does not tell.
fn shadowed(policies: &[(usize, &Policy)]) -> Vec<Finding> {
    let mut sorted = policies.to_vec();
    sorted.sort_by_key(|(_, policy)| policy.priority);
    let mut found = Vec::new();
    for (at, (index, policy)) in sorted.iter().enumerate() {
        let before = sorted.iter().take(at).map(|(_, policy)| *policy);
        if let Some(winner) = before
            .take_while(|winner| winner.priority < policy.priority)
            .find(|winner| covers(&winner.id, &policy.id))
        {
            found.push(Finding {
                code: LintCode::ShadowedPolicy,
                object: name(policy),
                reason: format!(
                    "it never matches: {} has priority {}, smaller than {}",
                    name(winner),
                    winner.priority,
                    policy.priority
                ),
                fix: "give the narrower policy the smaller priority, or remove it".to_owned(),
                subject: Subject::Policy(*index),
            });
        }
    }
    found
}

fn covers(wide: &PolicyId, narrow: &PolicyId) -> bool {
    let (one, other) = (&wide.selector, &narrow.selector);
    wide.dir == narrow.dir
        && wide.if_id == narrow.if_id
        && (wide.mark.mask == 0 || wide.mark == narrow.mark)
        && contains(one.src, other.src)
        && contains(one.dst, other.dst)
        && (one.proto == 0 || one.proto == other.proto)
        && (one.ifindex == 0 || one.ifindex == other.ifindex)
        && port_covers(one.sport, other.sport)
        && port_covers(one.dport, other.dport)
}

const fn port_covers(wide: Port, narrow: Port) -> bool {
    wide.mask & narrow.mask == wide.mask && (wide.port ^ narrow.port) & wide.mask == 0
}

fn meets(one: Net, other: Net) -> bool {
    contains(one, other) || contains(other, one)
}

fn contains(wide: Net, narrow: Net) -> bool {
    let (one, other, width) = match (wide.addr, narrow.addr) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u128::from(one.to_bits()), u128::from(other.to_bits()), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let shift = width - u32::from(wide.len).min(width);
    wide.len <= narrow.len && (one ^ other).checked_shr(shift).unwrap_or(0) == 0
}
