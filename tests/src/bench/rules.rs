//! What it costs to find the rule of a packet, beside two tries of as many prefixes: each packet has other addresses.

mod asked;

use super::cost::{Cost, Sampling};
use anyhow::{Context as _, Result};
use asked::Asked;
use esp_common::{Prefix, Rule, RuleAction, Selector};
use serde_json::{Value, json};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

/// Numbers of rules in each direction.
const SIZES: [u32; 3] = [1, 100, 4_000];
/// Packets of the list.
const PACKETS: u32 = 4_096;

/// One number of rules.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Rules in each direction, `in` and `fwd`.
    pub rules: u32,
    /// Each third rule names a protocol and a port.
    pub ports: bool,
    /// Net ns of a decision.
    pub rule: Cost,
    /// Net ns of two lookups in tries.
    pub tries: Cost,
    /// The first of the second, paired.
    pub ratio: Cost,
}

/// Measures every number, with and without ports, on the CPU that the thread is pinned to.
///
/// # Errors
/// The object was not built, the kernel does not take it, or a decision is wrong.
pub fn run(sampling: Sampling) -> Result<Vec<Decided>> {
    let kinds = [false, true].into_iter().flat_map(|ports| SIZES.map(|rules| (rules, ports)));
    kinds
        .map(|(rules, ports)| row(rules, ports, sampling).with_context(|| format!("{rules} rules")))
        .collect()
}

fn row(size: u32, ports: bool, sampling: Sampling) -> Result<Decided> {
    let rules = rules(size, ports);
    let packets: Vec<_> = (0..PACKETS).map(|number| packet(number, size)).collect();
    let mut asked = Asked::new(&rules, &packets)?;
    let (mut rule, mut tries, mut ratio) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=sampling.rounds {
        let none = asked.run("esp_select_none", sampling.repeat)?;
        let ours = asked.run("esp_select_rules", sampling.repeat)? - none;
        let theirs = asked.run("esp_select_tries", sampling.repeat)? - none;
        // The first round warms up.
        if round > 0 {
            rule.push(ours);
            tries.push(theirs);
            ratio.push(ours / theirs);
        }
    }
    asked.check(&rules, &packets)?;
    let [rule, tries, ratio] = [rule, tries, ratio].map(Cost::of);
    Ok(Decided { rules: size, ports, rule, tries, ratio })
}

/// A number without an order, the same each time (a finaliser of MurmurHash3).
const fn mixed(number: u32) -> u32 {
    let mixed = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    mixed ^ mixed >> 16
}

/// Bits of a network.
const LEN: u8 = 24;

/// The network of a rule's end, anywhere.
const fn net(number: u32, end: u32) -> u32 {
    mixed(number * 2 + end) & u32::MAX << (32 - LEN)
}

/// As many `in` rules as `fwd` rules, the twins of each other.
fn rules(size: u32, ports: bool) -> Vec<Rule> {
    let one = |number: u32, dir| {
        let [src, dst] = [0, 1].map(|end| Prefix::new(Ipv4Addr::from(net(number, end)).into(), LEN));
        let named = ports && number.is_multiple_of(3);
        let (proto, proto_mask) = if named { (6, u8::MAX) } else { (0, 0) };
        let (dport, dport_mask) = if named { (1_000 + (number % 64) as u16, u16::MAX) } else { (0, 0) };
        let verdict = Rule::verdict(dir, RuleAction::Protect);
        let policy = number + 1;
        Rule {
            src,
            dst,
            sport: 0,
            sport_mask: 0,
            dport,
            dport_mask,
            proto,
            proto_mask,
            family: 4,
            verdict,
            policy,
        }
    };
    (0..size).flat_map(|number| [Rule::DIR_IN, Rule::DIR_FWD].map(|dir| one(number, dir))).collect()
}

/// A packet from and to hosts in the networks of a rule.
fn packet(number: u32, size: u32) -> Selector {
    let rule = mixed(number) % size;
    let [src, dst] = [0, 1].map(|end| {
        let host = (number * 31 + end) % (1 << (32 - LEN));
        IpAddr::from(Ipv4Addr::from(net(rule, end) | host)).into()
    });
    let dport = 1_000 + (rule % 64) as u16;
    Selector { src, dst, sport: mixed(number) as u16, dport, proto: 6, family: 4, port_mask: u16::MAX }
}

/// Of the cost beside that of two tries.
const RATIO: f64 = 0.5;
/// Of the cost of 4,000 rules beside that of 100.
const GROWTH: f64 = 2.0;

/// 4,000 rules beside 100 of the same kind.
fn growth(rows: &[Decided], ports: bool) -> Option<f64> {
    let of = |rules| rows.iter().find(|row| row.rules == rules && row.ports == ports);
    Some(of(4_000)?.rule.median / of(100)?.rule.median)
}

/// As JSON.
#[must_use]
pub fn json(rows: &[Decided]) -> Value {
    let list = rows.iter().map(|row| {
        json!({
            "rules": row.rules,
            "ports": row.ports,
            "net_ns": row.rule.json(),
            "tries_ns": row.tries.json(),
            "ratio": row.ratio.json(),
            "target": row.target(),
        })
    });
    json!({
        "rows": list.collect::<Vec<_>>(),
        "growth": { "networks": growth(rows, false), "ports": growth(rows, true), "target": GROWTH },
    })
}

impl Decided {
    /// The largest ratio that is good enough, where one was set: tries know no ports.
    const fn target(&self) -> Option<f64> {
        if self.rules == 1 || self.ports { None } else { Some(RATIO) }
    }
}

const fn met(is: bool) -> &'static str {
    if is { "met" } else { "missed" }
}

/// As text.
///
/// # Errors
/// The writer's.
pub fn print(rows: &[Decided], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "selector decision, `in` and `fwd` rules; two LPM tries with as many prefixes; each packet other addresses"
    )?;
    for row in rows {
        let Decided { rules, ports, rule, tries, ratio } = row;
        let kind = if *ports { "with ports" } else { "networks" };
        write!(
            f,
            "{kind:<12}{rules:>6} rules{:>8.1} ns ({:.1} to {:.1})  tries {:.1}: {:.2} ({:.2} to {:.2})",
            rule.median, rule.min, rule.max, tries.median, ratio.median, ratio.min, ratio.max
        )?;
        if let Some(target) = row.target() {
            write!(f, ", {target} {}", met(ratio.median <= target))?;
        }
        writeln!(f)?;
    }
    for (kind, ports) in [("networks", false), ("with ports", true)] {
        if let Some(growth) = growth(rows, ports) {
            writeln!(
                f,
                "{kind:<12}  4000 rules beside 100: {growth:.2}, {GROWTH} {}",
                met(growth <= GROWTH)
            )?;
        }
    }
    Ok(())
}
