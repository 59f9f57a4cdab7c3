//! Random sets of rules, and packets for them: nested and equal prefixes, all masks, both families.

mod compiled;

pub use compiled::{InMemory, by_classes, by_walk, firsts};

use crate::frame::{Ext, Frame, Ipv4, Ipv6, Payload};
use esp_common::{Addr, Prefix, Rule, RuleAction, Selector};
use proptest::{collection::vec, prelude::*, sample};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

/// Two addresses of one family, their bytes of few values: prefixes of them are often nested or equal.
fn ends() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    let byte = || sample::select(vec![0_u8, 1, 10, 127, 128, 254, 255]);
    let four = move || prop::array::uniform4(byte()).prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets)));
    let six = move || {
        prop::array::uniform16(prop_oneof![3 => Just(0_u8), 1 => byte()])
            .prop_map(Ipv6Addr::from)
            .prop_filter("the parser refuses mapped addresses", |ip| ip.to_ipv4_mapped().is_none())
            .prop_map(IpAddr::from)
    };
    prop_oneof![3 => (four(), four()), 2 => (six(), six())]
}

fn len(ip: IpAddr, kind: Kind) -> impl Strategy<Value = u8> {
    let most = if ip.is_ipv4() { 32_u8 } else { 128 };
    let least = match kind {
        Kind::Wild => 0,
        Kind::Plain => 16,
    };
    prop_oneof![2 => Just(0), 2 => Just(most), 6 => least..=most]
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0_u16), Just(80), Just(443), Just(u16::MAX), any::<u16>()]
}

/// What rules ask for.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any prefix and any mask. Few rules with such masks can tell all ports apart.
    Wild,
    /// Networks beyond /16, or all; ports and ranges of services, a few other masks.
    Plain,
}

fn masked(kind: Kind) -> impl Strategy<Value = (u16, u16)> {
    let other = match kind {
        Kind::Wild => any::<u16>().boxed(),
        Kind::Plain => sample::select(vec![1_u16, 0x8000, 0x00ff, 0x0ff0]).boxed(),
    };
    let range = (0..16_u32).prop_map(|bits| u16::MAX << bits);
    let mask = prop_oneof![4 => Just(0_u16), 2 => Just(u16::MAX), 1 => range, 1 => other];
    let port = match kind {
        Kind::Wild => port().boxed(),
        Kind::Plain => sample::select(vec![0_u16, 22, 80, 443, 8_080, u16::MAX]).boxed(),
    };
    (port, mask).prop_map(|(port, mask)| (port & mask, mask))
}

fn proto() -> impl Strategy<Value = u8> {
    sample::select(vec![1_u8, 6, 17, 47, 58, 132, 255])
}

/// A rule of one of these directions.
pub fn rule(dirs: &'static [u8], kind: Kind) -> impl Strategy<Value = Rule> {
    let nets = ends().prop_flat_map(move |(src, dst)| (Just(src), len(src, kind), Just(dst), len(dst, kind)));
    let actions = [RuleAction::Bypass, RuleAction::Protect, RuleAction::Discard];
    let verdict = (sample::select(dirs), sample::select(actions.to_vec()));
    (nets, masked(kind), masked(kind), prop::option::of(proto()), verdict).prop_map(
        |((src, src_len, dst, dst_len), sport, dport, proto, (dir, action))| Rule {
            src: Prefix::new(src, src_len),
            dst: Prefix::new(dst, dst_len),
            sport: sport.0,
            sport_mask: sport.1,
            dport: dport.0,
            dport_mask: dport.1,
            proto: proto.unwrap_or_default(),
            proto_mask: if proto.is_some() { u8::MAX } else { 0 },
            family: if dst.is_ipv4() { 4 } else { 6 },
            verdict: Rule::verdict(dir, action),
            policy: 0,
        },
    )
}

/// Rules of one table, numbered by their policies.
pub fn rules(sizes: RangeInclusive<usize>, kind: Kind) -> impl Strategy<Value = Vec<Rule>> {
    let into = vec(rule(&[Rule::DIR_IN, Rule::DIR_FWD], kind), sizes.clone());
    let twins = vec(rule(&[Rule::DIR_IN], kind), sizes.clone()).prop_map(|rules| {
        let twin = |rule: Rule| Rule { verdict: rule.verdict ^ Rule::DIR_IN ^ Rule::DIR_FWD, ..rule };
        rules.into_iter().flat_map(|rule| [rule, twin(rule)]).collect()
    });
    let out = vec(rule(&[Rule::DIR_OUT], kind), sizes);
    prop_oneof![2 => into, 1 => twins, 1 => out].prop_map(|mut rules: Vec<Rule>| {
        for (number, rule) in (1..).zip(&mut rules) {
            rule.policy = number;
        }
        rules
    })
}

/// How a packet is made of a rule: which bits of its fields are turned.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    rule: sample::Index,
    src: u128,
    dst: u128,
    ports: (u16, u16),
    proto: u8,
    hidden: bool,
    anything: Selector,
}

/// Any packet.
pub fn packet() -> impl Strategy<Value = Selector> {
    (ends(), port(), port(), proto(), prop::bool::weighted(0.15)).prop_map(
        |((src, dst), sport, dport, proto, hidden)| {
            let packet = Selector {
                src: Addr::from(src),
                dst: Addr::from(dst),
                sport,
                dport,
                proto,
                family: if dst.is_ipv4() { 4 } else { 6 },
                port_mask: u16::MAX,
            };
            if hidden { hide(packet) } else { packet }
        },
    )
}

/// The same, its ports not shown.
#[must_use]
pub fn hide(packet: Selector) -> Selector {
    Selector { sport: 0, dport: 0, port_mask: 0, ..packet }
}

/// How to make one packet of a set of rules, or any packet.
pub fn turn() -> impl Strategy<Value = Turn> {
    // Where a rule does not look, or just outside of its network, or not at all.
    let bits = || prop_oneof![2 => any::<u128>(), 1 => (0..128_u32).prop_map(|bit| 1 << bit), 1 => Just(0)];
    let ports = (any::<u16>(), any::<u16>());
    (any::<sample::Index>(), bits(), bits(), ports, proto(), prop::bool::weighted(0.15), packet()).prop_map(
        |(rule, src, dst, ports, proto, hidden, anything)| Turn {
            rule,
            src,
            dst,
            ports,
            proto,
            hidden,
            anything,
        },
    )
}

impl Turn {
    /// The packet: seven of eight are made of a rule.
    #[must_use]
    pub fn packet(&self, rules: &[Rule]) -> Selector {
        if rules.is_empty() || self.proto == u8::MAX {
            return self.anything;
        }
        let rule = self.rule.get(rules);
        let packet = Selector {
            src: inside(&rule.src, self.src, rule.family),
            dst: inside(&rule.dst, self.dst, rule.family),
            sport: rule.sport | (self.ports.0 & !rule.sport_mask),
            dport: rule.dport | (self.ports.1 & !rule.dport_mask),
            proto: if rule.proto_mask == 0 { self.proto } else { rule.proto },
            family: rule.family,
            port_mask: u16::MAX,
        };
        if self.hidden { hide(packet) } else { packet }
    }
}

/// An address of the prefix, or one beside it where a single bit is turned.
fn inside(prefix: &Prefix, bits: u128, family: u8) -> Addr {
    let [net, mask] = [prefix.net, prefix.mask].map(|addr| u128::from_be_bytes(addr.octets()));
    let turned = if bits.is_power_of_two() { bits } else { bits & !mask };
    let octets = (net ^ turned).to_be_bytes();
    if family == 4 {
        let [.., a, b, c, d] = octets;
        return Addr::from_v4([a, b, c, d]);
    }
    Addr::from_v6(octets)
}

/// A frame with these fields. Ports that are hidden are those of a later fragment.
#[must_use]
pub fn frame(packet: &Selector) -> Vec<u8> {
    const ICMP: [u8; 2] = [1, 58];
    let payload = match packet.proto {
        17 => Payload::udp(packet.sport, packet.dport, vec![0; 8]),
        6 => Payload::tcp(packet.sport, packet.dport, 8),
        proto if ICMP.contains(&proto) => {
            let [kind, code] = [packet.sport, packet.dport].map(|port| port as u8);
            Payload::raw(proto, vec![kind, code, 0, 0, 0, 0, 0, 0])
        }
        proto => {
            let ports = [packet.sport.to_be_bytes(), packet.dport.to_be_bytes()].concat();
            Payload::raw(proto, [ports, vec![0; 20]].concat())
        }
    };
    let hidden = packet.port_mask == 0;
    match (packet.src.ip(), packet.dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let header = Ipv4::new(src, dst);
            let header = if hidden { header.fragment(100, false) } else { header };
            Frame::v4(&header, &payload).build()
        }
        (src, dst) => {
            let six = |ip| Ipv6Addr::from(Addr::from(ip).octets());
            let header = Ipv6::new(six(src), six(dst));
            let header = if hidden { header.ext(Ext::Fragment(100, false)) } else { header };
            Frame::v6(&header, &payload).build()
        }
    }
}
