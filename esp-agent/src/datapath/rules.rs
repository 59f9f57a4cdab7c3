//! From policies to the rules of the clear-text guards.

use super::image::Image;
use crate::picture::Picture;
use crate::xfrm::model::{ObservedPolicy, Policy, PolicyAction, PolicyDir, Port, Selector};
use esp_common::{Prefix, Rule, RuleAction};

/// Adds the rules of all policies to `image`, in the kernel's order.
pub(super) fn compile(picture: &Picture, image: &mut Image) {
    let mut unseen = 0_usize;
    for observed in picture.order.sorted(picture.policies.values()) {
        let id = &observed.policy.id;
        if id.if_id != 0 {
            // Selects what is routed into an XFRM interface, not what crosses ours.
            continue;
        }
        let rule = rule(observed);
        // What a policy that lets pass may mean is not caught by one behind it; one that protects may not mean it.
        if (id.mark.mask != 0 || id.selector.ifindex != 0) && Rule::protects(rule.verdict) {
            unseen += 1;
            continue;
        }
        match id.dir {
            PolicyDir::Out => image.rules_out.push(rule),
            PolicyDir::In | PolicyDir::Fwd => image.rules_in.push(rule),
        }
    }
    if unseen > 0 {
        image.notes.push(format!(
            "clear-text guards leave out {unseen} policies that protect by mark or device: a packet on the wire shows neither"
        ));
    }
}

/// One policy as the datapath compares it.
pub(super) fn rule(observed: &ObservedPolicy) -> Rule {
    let policy = &observed.policy;
    let Selector { src, dst, proto, sport, dport, .. } = policy.id.selector;
    let dir = match policy.id.dir {
        PolicyDir::In => Rule::DIR_IN,
        PolicyDir::Fwd => Rule::DIR_FWD,
        PolicyDir::Out => Rule::DIR_OUT,
    };
    Rule {
        src: Prefix::new(src.addr, src.len),
        dst: Prefix::new(dst.addr, dst.len),
        sport: masked(sport),
        sport_mask: sport.mask,
        dport: masked(dport),
        dport_mask: dport.mask,
        proto,
        proto_mask: if proto == 0 { 0 } else { u8::MAX },
        family: if dst.addr.is_ipv4() { 4 } else { 6 },
        verdict: Rule::verdict(dir, action(policy)),
        policy: observed.index,
    }
}

fn masked(port: Port) -> u16 {
    port.port & port.mask
}

/// A template of level `use` asks for no SA, and packet offload makes clear text legitimate at TC.
fn action(policy: &Policy) -> RuleAction {
    let required = policy.templates.iter().any(|template| !template.optional);
    let offloaded = policy.offload.is_some_and(|offload| offload.packet);
    match policy.action {
        PolicyAction::Block => RuleAction::Discard,
        PolicyAction::Allow if required && !offloaded => RuleAction::Protect,
        PolicyAction::Allow => RuleAction::Bypass,
    }
}
