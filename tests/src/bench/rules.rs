//! What it costs to find the rule of a packet, beside two tries of as many prefixes: each packet has other addresses.

mod asked;

use super::{
    cost::{Cost, Sampling},
    report::met,
};
use crate::world::scattered;
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

/// What the rules are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Networks, the same in both directions.
    Networks,
    /// Networks, and one rule that differs between the directions: each is searched.
    Unlike,
    /// As the first, each third rule for a protocol and a port.
    Ports,
}

impl Kind {
    /// All, in the order of the report.
    pub const ALL: [Self; 3] = [Self::Networks, Self::Unlike, Self::Ports];

    const fn name(self) -> &'static str {
        match self {
            Self::Networks => "networks",
            Self::Unlike => "in unlike fwd",
            Self::Ports => "with ports",
        }
    }
}

/// One number of rules.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Rules in each direction, `in` and `fwd`.
    pub rules: u32,
    /// What they are.
    pub kind: Kind,
    /// Net ns of a decision.
    pub rule: Cost,
    /// Net ns of two lookups in tries.
    pub tries: Cost,
    /// The first of the second, paired.
    pub ratio: Cost,
}

/// Measures every number of each kind on the CPU that the thread is pinned to.
///
/// # Errors
/// The object was not built, the kernel does not take it, or a decision is wrong.
pub fn run(sampling: Sampling) -> Result<Vec<Decided>> {
    let kinds = Kind::ALL.into_iter().flat_map(|kind| SIZES.map(|rules| (rules, kind)));
    kinds
        .map(|(rules, kind)| row(rules, kind, sampling).with_context(|| format!("{rules} rules, {kind:?}")))
        .collect()
}

fn row(size: u32, kind: Kind, sampling: Sampling) -> Result<Decided> {
    let rules = rules(size, kind);
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
    Ok(Decided { rules: size, kind, rule, tries, ratio })
}

/// Bits of a network.
const LEN: u8 = 24;

/// The network of a rule's end, anywhere.
const fn net(number: u32, end: u32) -> u32 {
    scattered(number * 2 + end) & u32::MAX << (32 - LEN)
}

/// As many `in` rules as `fwd` rules.
fn rules(size: u32, kind: Kind) -> Vec<Rule> {
    let one = |number: u32, dir| {
        let [src, dst] = [0, 1].map(|end| Prefix::new(Ipv4Addr::from(net(number, end)).into(), LEN));
        let named = kind == Kind::Ports && number.is_multiple_of(3);
        let clear = kind == Kind::Unlike && number == 0 && dir == Rule::DIR_IN;
        let (proto, proto_mask) = if named { (6, u8::MAX) } else { (0, 0) };
        let (dport, dport_mask) = if named { (1_000 + (number % 64) as u16, u16::MAX) } else { (0, 0) };
        let verdict = Rule::verdict(dir, if clear { RuleAction::Bypass } else { RuleAction::Protect });
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
    let rule = scattered(number) % size;
    let [src, dst] = [0, 1].map(|end| {
        let host = (number * 31 + end) % (1 << (32 - LEN));
        IpAddr::from(Ipv4Addr::from(net(rule, end) | host)).into()
    });
    let dport = 1_000 + (rule % 64) as u16;
    Selector { src, dst, sport: scattered(number) as u16, dport, proto: 6, family: 4, port_mask: u16::MAX }
}

/// Of the cost beside that of two tries.
const RATIO: f64 = 0.5;
/// Of the cost of 4,000 rules beside that of 100.
const GROWTH: f64 = 2.0;

/// 4,000 rules beside 100 of the same kind.
fn growth(rows: &[Decided], kind: Kind) -> Option<f64> {
    let of = |rules| rows.iter().find(|row| row.rules == rules && row.kind == kind);
    Some(of(4_000)?.rule.median / of(100)?.rule.median)
}

/// As JSON.
#[must_use]
pub fn json(rows: &[Decided]) -> Value {
    let list = rows.iter().map(|row| {
        json!({
            "rules": row.rules,
            "kind": row.kind.name(),
            "net_ns": row.rule.json(),
            "tries_ns": row.tries.json(),
            "ratio": row.ratio.json(),
            "target": row.target(),
        })
    });
    json!({
        "rows": list.collect::<Vec<_>>(),
        "growth": Kind::ALL.map(|kind| json!({ "kind": kind.name(), "ratio": growth(rows, kind) })),
        "growth_target": GROWTH,
    })
}

impl Decided {
    /// The largest ratio that is good enough, where one was set: tries know no ports.
    const fn target(&self) -> Option<f64> {
        if self.rules == 1 || matches!(self.kind, Kind::Ports) { None } else { Some(RATIO) }
    }
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
        let Decided { rules, kind, rule, tries, ratio } = row;
        let kind = kind.name();
        write!(
            f,
            "{kind:<14}{rules:>6} rules{:>8.1} ns ({:.1} to {:.1})  tries {:.1}: {:.2} ({:.2} to {:.2})",
            rule.median, rule.min, rule.max, tries.median, ratio.median, ratio.min, ratio.max
        )?;
        if let Some(target) = row.target() {
            write!(f, ", {target} {}", met(ratio.median <= target))?;
        }
        writeln!(f)?;
    }
    for kind in Kind::ALL {
        if let Some(growth) = growth(rows, kind) {
            let kind = kind.name();
            writeln!(
                f,
                "{kind:<14}  4000 rules beside 100: {growth:.2}, {GROWTH} {}",
                met(growth <= GROWTH)
            )?;
        }
    }
    Ok(())
}
