//! From policies and SAs to rules: the lab, and what must be left out.

use super::*;
use crate::plan::samples;
use crate::xfrm::model::{
    Mark, Mode, ObservedPolicy, Offload, Policy, PolicyAction, PolicyDir, Port, Sa, SaDir,
};
use esp_common::{Prefix, RuleAction, names::INNER_RULES_PER_SA};
use std::net::IpAddr;

const US: &str = "10.55.55.1";
const PEER: &str = "10.66.66.1";
const SPI: u32 = 0x6942_7567;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn picture(sas: &[Sa], policies: &[ObservedPolicy]) -> Picture {
    Picture {
        sas: sas.iter().map(|sa| (sa.id, samples::observed_sa(sa, 1))).collect(),
        policies: policies.iter().map(|policy| (policy.index, policy.clone())).collect(),
        locals: [ip(US)].into(),
        ..Picture::default()
    }
}

fn lab() -> Picture {
    let sas: Vec<_> = samples::lab().sas.into_iter().map(|keyed| keyed.sa).collect();
    // The kernel's indices carry the direction: in 0, out 1, fwd 2.
    let policies: Vec<_> = samples::lab_policies()
        .iter()
        .zip([17, 10, 8])
        .map(|(policy, index)| samples::observed_policy(policy, index, 1))
        .collect();
    picture(&sas, &policies)
}

fn inbound() -> Sa {
    samples::sa(PEER, US, SPI, SaDir::In)
}

fn into() -> Policy {
    samples::policy(PolicyDir::In, ("192.168.2.0", 24), ("192.168.1.0", 24), (PEER, US))
}

/// The image of one inbound SA and these policies, their indices in order.
fn with(policies: &[Policy]) -> Image {
    let observed: Vec<_> =
        policies.iter().zip(1_u32..).map(|(policy, n)| samples::observed_policy(policy, 8 * n, 1)).collect();
    Image::of(&picture(&[inbound()], &observed))
}

fn actions(rules: &[Rule]) -> Vec<(u32, u8)> {
    rules.iter().map(|rule| (rule.policy, rule.verdict)).collect()
}

fn protect(dir: u8) -> u8 {
    Rule::verdict(dir, RuleAction::Protect)
}

/// Policies that packets of the lab's inbound SA may match.
fn inner(image: &Image) -> Vec<u32> {
    let key = image.inner.keys().find(|key| key.remote == ip(PEER).into()).expect("the inbound SA");
    image.inner[key].iter().map(|rule| rule.policy).collect()
}

#[test]
fn the_lab_has_two_sas_three_rules_and_the_selectors_of_one_sa() {
    let image = Image::of(&lab());
    let keys: Vec<_> = image.sas.keys().map(|key| (key.dst.ip(), key.spi.number())).collect();
    assert_eq!(keys, [(ip(US), SPI), (ip(PEER), SPI)]);
    assert_eq!(actions(&image.rules_in), [(8, protect(Rule::DIR_IN)), (10, protect(Rule::DIR_FWD))]);
    assert_eq!(actions(&image.rules_out), [(17, protect(Rule::DIR_OUT))]);
    let out = image.rules_out[0];
    assert_eq!(out.src, Prefix::new(ip("192.168.1.0"), 24));
    assert_eq!(out.dst, Prefix::new(ip("192.168.2.0"), 24));
    assert_eq!((out.family, out.proto_mask, out.sport_mask, out.dport_mask), (4, 0, 0, 0));
    assert_eq!(inner(&image), [8, 10]);
    assert_eq!(image.locals.iter().map(|addr| addr.ip()).collect::<Vec<_>>(), [ip(US)]);
    assert!(image.notes.is_empty(), "{:?}", image.notes);
}

#[test]
fn rules_stand_in_the_kernels_order() {
    let at = |priority| Policy { priority, ..into() };
    let image = with(&[at(30), at(10), at(20), at(10)]);
    let order: Vec<_> = image.rules_in.iter().map(|rule| rule.policy).collect();
    assert_eq!(order, [16, 32, 24, 8], "smallest priority first, then oldest");
}

#[test]
fn an_action_says_what_may_be_clear() {
    let mut optional = into();
    optional.templates[0].optional = true;
    let offload = Some(Offload { ifindex: 3, packet: true, inbound: true });
    let crypto = Some(Offload { ifindex: 3, packet: false, inbound: true });
    let cases = [
        (into(), RuleAction::Protect),
        (Policy { templates: Vec::new(), ..into() }, RuleAction::Bypass),
        (Policy { action: PolicyAction::Block, ..into() }, RuleAction::Discard),
        (optional, RuleAction::Bypass),
        (Policy { offload, ..into() }, RuleAction::Bypass),
        (Policy { offload: crypto, ..into() }, RuleAction::Protect),
    ];
    for (policy, action) in cases {
        let image = with(std::slice::from_ref(&policy));
        assert_eq!(image.rules_in[0].verdict, Rule::verdict(Rule::DIR_IN, action), "{policy:?}");
    }
}

#[test]
fn one_required_template_is_enough() {
    let mut policy = into();
    let mut optional = policy.templates[0].clone();
    optional.optional = true;
    policy.templates.insert(0, optional);
    assert_eq!(actions(&with(&[policy]).rules_in), [(8, protect(Rule::DIR_IN))]);
}

#[test]
fn policies_of_xfrm_interfaces_are_not_for_the_wire() {
    let mut routed = into();
    routed.id.if_id = 42;
    let image = with(&[routed]);
    assert!(image.rules_in.is_empty() && image.notes.is_empty());
    assert_eq!(inner(&image), Vec::<u32>::new(), "nor for an SA without the interface");
}

#[test]
fn an_sa_of_an_xfrm_interface_has_the_selectors_of_its_interface() {
    let mut routed = into();
    routed.id.if_id = 42;
    let sa = Sa { if_id: 42, ..inbound() };
    let observed = [samples::observed_policy(&routed, 8, 1), samples::observed_policy(&into(), 16, 1)];
    assert_eq!(inner(&Image::of(&picture(&[sa], &observed))), [8]);
}

#[test]
fn what_the_wire_does_not_show_is_left_out_and_said() {
    let mut marked = into();
    marked.id.mark = Mark { value: 1, mask: u32::MAX };
    let mut bound = into();
    bound.id.selector.ifindex = 5;
    let image = with(&[marked, bound, into()]);
    assert_eq!(actions(&image.rules_in), [(24, protect(Rule::DIR_IN))]);
    assert_eq!(image.notes.len(), 1);
    assert!(image.notes[0].contains("2 policies"), "{:?}", image.notes);
}

#[test]
fn a_bypass_by_mark_excuses_what_it_may_mean() {
    let mut marked = Policy { templates: Vec::new(), ..into() };
    marked.id.mark = Mark { value: 1, mask: u32::MAX };
    let image = with(&[marked, into()]);
    let bypass = Rule::verdict(Rule::DIR_IN, RuleAction::Bypass);
    assert_eq!(actions(&image.rules_in), [(8, bypass), (16, protect(Rule::DIR_IN))]);
    assert!(image.notes.is_empty(), "{:?}", image.notes);
}

#[test]
fn ports_and_protocol_reach_the_rule() {
    let mut policy = into();
    policy.id.selector.proto = 6;
    policy.id.selector.dport = Port { port: 443, mask: u16::MAX };
    policy.id.selector.sport = Port { port: 0x1234, mask: 0xff00 };
    let rule = with(&[policy]).rules_in[0];
    assert_eq!((rule.proto, rule.proto_mask), (6, u8::MAX));
    assert_eq!((rule.dport, rule.dport_mask), (443, u16::MAX));
    assert_eq!((rule.sport, rule.sport_mask), (0x1200, 0xff00));
}

#[test]
fn a_template_selects_its_sas_by_what_it_names() {
    let any = ip("0.0.0.0");
    let changed = |change: fn(&mut crate::xfrm::model::Template)| {
        let mut policy = into();
        change(&mut policy.templates[0]);
        inner(&with(&[policy]))
    };
    assert_eq!(changed(|_| {}), [8]);
    assert_eq!(changed(|template| template.reqid = 0), [8], "reqid 0 is any");
    assert_eq!(changed(|template| template.src = "0.0.0.0".parse().unwrap()), [8], "{any} is any");
    assert_eq!(changed(|template| template.dst = "0.0.0.0".parse().unwrap()), [8]);
    assert_eq!(changed(|template| template.spi = esp_common::Spi::new(SPI)), [8]);
    let none = Vec::<u32>::new();
    assert_eq!(changed(|template| template.reqid = 9), none);
    assert_eq!(changed(|template| template.src = "10.9.9.9".parse().unwrap()), none);
    assert_eq!(changed(|template| template.dst = "10.9.9.9".parse().unwrap()), none);
    assert_eq!(changed(|template| template.spi = esp_common::Spi::new(SPI + 1)), none);
    assert_eq!(changed(|template| template.mode = Mode::Transport), none, "mode is never any");
    assert_eq!(changed(|template| template.proto = 51), none, "AH");
}

#[test]
fn a_transport_template_names_no_addresses() {
    let mut policy = into();
    policy.templates[0].mode = Mode::Transport;
    policy.templates[0].src = ip("10.9.9.9");
    let sa = Sa { mode: Mode::Transport, ..inbound() };
    let observed = [samples::observed_policy(&policy, 8, 1)];
    assert_eq!(inner(&Image::of(&picture(&[sa], &observed))), [8]);
}

#[test]
fn a_selector_of_an_sa_lets_pass_and_never_protects() {
    let image = with(&[into()]);
    let rules: Vec<_> = image.inner.values().flatten().collect();
    assert_eq!(rules[0].verdict, Rule::verdict(Rule::DIR_IN, RuleAction::Bypass));
}

#[test]
fn an_out_policy_is_no_selector_of_an_inbound_sa() {
    let mut out = into();
    out.id.dir = PolicyDir::Out;
    assert_eq!(inner(&with(&[out])), Vec::<u32>::new());
}

#[test]
fn a_larval_sa_is_known_and_unchecked() {
    let mut picture = picture(&[inbound()], &[]);
    picture.sas.values_mut().for_each(|observed| observed.larval = true);
    let image = Image::of(&picture);
    assert_eq!((image.sas.len(), image.inner.len()), (1, 0));
}

#[test]
fn other_protocols_are_no_esp_flows() {
    let mut ah = inbound();
    ah.id.proto = 51;
    let image = Image::of(&picture(&[ah], &[]));
    assert!(image.sas.is_empty() && image.inner.is_empty());
}

#[test]
fn tunnels_and_offload_are_noted() {
    let mut sa = inbound();
    sa.offload = Some(Offload { ifindex: 3, packet: true, inbound: true });
    let mut picture = picture(std::slice::from_ref(&sa), &[]);
    picture.tunnels.insert(sa.id, "site-b".into());
    let image = Image::of(&picture);
    let entry = image.sas.values().next().expect("an SA");
    assert_eq!(*entry, SaImage { tunnel: "site-b".into(), flags: SaEntry::OFFLOADED, wish: Wish::Any });
}

#[test]
fn an_inbound_sa_may_be_steered_to_a_cpu_of_its_own_at_best() {
    let wish =
        |sa: &Sa| Image::of(&picture(std::slice::from_ref(sa), &[])).sas.values().next().map(|sa| sa.wish);
    assert_eq!(wish(&inbound()), Some(Wish::Any));
    assert_eq!(wish(&Sa { pcpu: Some(3), ..inbound() }), Some(Wish::Own(3)));
    assert_eq!(wish(&Sa { pcpu: Some(3), dir: Some(SaDir::Out), ..inbound() }), Some(Wish::None));
}

#[test]
fn too_many_policies_turn_a_guard_off_and_say_so() {
    let many = |dir| {
        let policies: Vec<_> = (0..=names::RULES)
            .map(|n| {
                let mut policy = into();
                policy.id.dir = dir;
                samples::observed_policy(&policy, 8 * n + 8, 1)
            })
            .collect();
        Image::of(&picture(&[], &policies))
    };
    let image = many(PolicyDir::Out);
    assert!(image.rules_out.is_empty());
    assert!(image.notes[0].contains("cleartext_out is off: 4097 policies"), "{:?}", image.notes);
    assert!(many(PolicyDir::Fwd).notes[0].contains("cleartext_in"), "the other direction");
}

#[test]
fn each_direction_has_room_of_its_own() {
    let policies: Vec<_> = (0..2 * names::RULES)
        .map(|n| {
            let dir = if n % 2 == 0 { PolicyDir::In } else { PolicyDir::Fwd };
            let mut policy = into();
            policy.id.dir = dir;
            samples::observed_policy(&policy, 8 * n + 8, 1)
        })
        .collect();
    let image = Image::of(&picture(&[], &policies));
    assert_eq!((image.rules_in.len(), image.notes.len()), (2 * names::RULES as usize, 0));
}

#[test]
fn too_many_selectors_of_an_sa_are_said() {
    let policies: Vec<_> = (0..=INNER_RULES_PER_SA)
        .map(|n| {
            let mut policy = into();
            policy.id.selector.dport = Port { port: n as u16, mask: u16::MAX };
            policy
        })
        .collect();
    let image = with(&policies);
    assert!(image.notes.iter().any(|note| note.contains("1 SAs unchecked")), "{:?}", image.notes);
}
