//! `Rule::matches` against a plain reading of what a selector says.

use esp_common::{Addr, Prefix, Rule, RuleAction, Selector};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ACTIONS: [RuleAction; 3] = [RuleAction::Bypass, RuleAction::Protect, RuleAction::Discard];

/// A policy as an operator writes it.
#[derive(Clone, Debug)]
struct Policy {
    src: (IpAddr, u8),
    dst: (IpAddr, u8),
    sport: (u16, u16),
    dport: (u16, u16),
    /// 0 is any.
    proto: u8,
    dir: u8,
    action: RuleAction,
}

/// A packet as a capture shows it; without ports it is a fragment.
#[derive(Clone, Debug)]
struct Shown {
    src: IpAddr,
    dst: IpAddr,
    ports: Option<(u16, u16)>,
    proto: u8,
}

fn contains((net, len): (IpAddr, u8), ip: IpAddr) -> bool {
    let bits = |octets: &[u8]| -> Vec<bool> {
        octets.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1)).collect()
    };
    match (net, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            bits(&net.octets())[..len.into()] == bits(&ip.octets())[..len.into()]
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => {
            bits(&net.octets())[..len.into()] == bits(&ip.octets())[..len.into()]
        }
        _ => false,
    }
}

fn port((port, mask): (u16, u16), seen: u16) -> bool {
    (0..16).filter(|bit| mask >> bit & 1 == 1).all(|bit| port >> bit & 1 == seen >> bit & 1)
}

fn selects(policy: &Policy, packet: &Shown, dir: u8) -> bool {
    let ports = match packet.ports {
        Some((sport, dport)) => port(policy.sport, sport) && port(policy.dport, dport),
        None if policy.action == RuleAction::Protect => port(policy.sport, 0) && port(policy.dport, 0),
        None => true,
    };
    contains(policy.src, packet.src)
        && contains(policy.dst, packet.dst)
        && ports
        && (policy.proto == 0 || policy.proto == packet.proto)
        && (dir == 0 || policy.dir == dir)
}

fn rule(policy: &Policy) -> Rule {
    Rule {
        src: Prefix::new(policy.src.0, policy.src.1),
        dst: Prefix::new(policy.dst.0, policy.dst.1),
        sport: policy.sport.0,
        sport_mask: policy.sport.1,
        dport: policy.dport.0,
        dport_mask: policy.dport.1,
        proto: policy.proto,
        proto_mask: if policy.proto == 0 { 0 } else { u8::MAX },
        family: if policy.dst.0.is_ipv4() { 4 } else { 6 },
        verdict: Rule::verdict(policy.dir, policy.action),
        policy: 1,
    }
}

fn selector(packet: &Shown) -> Selector {
    let (sport, dport) = packet.ports.unwrap_or_default();
    Selector {
        src: Addr::from(packet.src),
        dst: Addr::from(packet.dst),
        sport,
        dport,
        proto: packet.proto,
        family: if packet.dst.is_ipv4() { 4 } else { 6 },
        port_mask: if packet.ports.is_some() { u16::MAX } else { 0 },
    }
}

/// Few values, so that much matches.
fn ends() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let four = || {
        prop::array::uniform4(prop::sample::select(vec![0_u8, 1, 10, 128, 255]))
            .prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets)))
    };
    let words = prop::sample::select(vec![0_u16, 1, 0xfd00, 0x8000, 0xffff]);
    let six =
        move || prop::array::uniform8(words.clone()).prop_map(|words| IpAddr::from(Ipv6Addr::from(words)));
    let six = move || {
        six().prop_filter(
            "a mapped address is none",
            |ip| !matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()),
        )
    };
    prop_oneof![(four(), four()), (six(), six())]
}

fn policy() -> impl Strategy<Value = Policy> {
    let len = |ip: IpAddr| if ip.is_ipv4() { 0..=32_u8 } else { 0..=128 };
    let masked = || {
        let mask = prop_oneof![Just(0), Just(u16::MAX), any::<u16>()];
        (prop::sample::select(vec![0_u16, 80, 443]), mask).prop_map(|(port, mask)| (port & mask, mask))
    };
    let nets = ends().prop_flat_map(move |(src, dst)| (Just(src), len(src), Just(dst), len(dst)));
    let dirs = prop::sample::select(vec![Rule::DIR_IN, Rule::DIR_FWD, Rule::DIR_OUT]);
    let proto = prop::sample::select(vec![0_u8, 6, 17]);
    (nets, masked(), masked(), proto, dirs, prop::sample::select(ACTIONS.to_vec())).prop_map(
        |((src, src_len, dst, dst_len), sport, dport, proto, dir, action)| Policy {
            src: (src, src_len),
            dst: (dst, dst_len),
            sport,
            dport,
            proto,
            dir,
            action,
        },
    )
}

fn packet() -> impl Strategy<Value = Shown> {
    let port = || prop::sample::select(vec![0_u16, 80, 443, 0x8050]);
    (ends(), prop::option::weighted(0.8, (port(), port())), prop::sample::select(vec![6_u8, 17]))
        .prop_map(|((src, dst), ports, proto)| Shown { src, dst, ports, proto })
}

/// A packet whose ends lie in the policy's networks, most of the time.
fn pair() -> impl Strategy<Value = (Policy, Shown)> {
    (policy(), packet(), prop::array::uniform2(prop::bool::weighted(0.8))).prop_map(
        |(policy, mut packet, near)| {
            if near[0] && near[1] {
                (packet.src, packet.dst) = (policy.src.0, policy.dst.0);
            }
            (policy, packet)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_matches_what_its_policy_selects(
        (policy, packet) in pair(),
        dir in prop::sample::select(vec![0, Rule::DIR_IN, Rule::DIR_FWD, Rule::DIR_OUT]),
    ) {
        prop_assert_eq!(rule(&policy).matches(&selector(&packet), dir), selects(&policy, &packet, dir));
    }
}

#[test]
fn the_pairs_are_not_all_of_one_kind() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut matched = 0;
    for _ in 0..2_000 {
        let (policy, packet) = pair().new_tree(&mut runner).expect("a pair").current();
        matched += u32::from(selects(&policy, &packet, 0));
    }
    assert!((200..1_800).contains(&matched), "{matched} of 2000 match");
}
