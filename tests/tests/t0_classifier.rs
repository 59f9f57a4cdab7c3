//! Compiled rules against the plain walk over them.

use esp_agent::datapath::classifier::{Full, compile};
use esp_common::{Prefix, Rule, RuleAction, RuleTable, Selector, names::RULES};
use esp_tests::{
    rules::{InMemory, Kind, by_classes, by_walk, firsts, rules, turn},
    strategy::sample,
    tables::first_rule,
    world::rule,
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

fn table(rules: &[Rule]) -> RuleTable {
    if rules.iter().any(|rule| rule.verdict & Rule::DIR_OUT != 0) { RuleTable::Out } else { RuleTable::In }
}

fn compiled(rules: &[Rule]) -> InMemory {
    InMemory(compile(rules, table(rules)).unwrap_or_else(|Full(what)| panic!("no room for {what}")))
}

/// The same first rule in each direction, and the same demand of both together.
fn agree(sets: &InMemory, rules: &[Rule], packet: &Selector) -> Result<(), TestCaseError> {
    prop_assert_eq!(by_classes(sets, packet), by_walk(rules, packet), "{:?}", packet);
    let walks: Vec<_> = [Rule::DIR_FWD, Rule::DIR_IN, Rule::DIR_OUT]
        .into_iter()
        .filter(|dir| rules.iter().any(|rule| rule.verdict & dir != 0))
        .map(|dir| first_rule(rules, packet, dir))
        .collect();
    let found = firsts(sets, packet);
    if found.len() == walks.len() {
        prop_assert_eq!(found, walks, "{:?}", packet);
        return Ok(());
    }
    // Both directions have the same rules: the policies of one stand for both.
    let actions = |found: &[Option<(u8, u32)>]| -> Vec<_> {
        found.iter().map(|found| found.map(|(verdict, _)| verdict >> 4)).collect()
    };
    prop_assert_eq!((found[0], 2), (walks[0], walks.len()));
    prop_assert_eq!(&actions(&walks)[..1], &actions(&walks)[1..], "{:?}", packet);
    Ok(())
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn a_verdict_is_that_of_the_first_rule_that_matches(
        rules in rules(1..=300, Kind::Wild),
        turns in vec(turn(), 64),
    ) {
        // Masks of ports with holes may make more classes than there is room for: the set is refused, not judged wrongly.
        let set = compile(&rules, table(&rules));
        prop_assume!(!matches!(set, Err(Full("classes of addresses and ports"))));
        let sets = InMemory(set.unwrap_or_else(|Full(what)| panic!("no room for {what}")));
        for packet in turns.iter().map(|turn| turn.packet(&rules)) {
            agree(&sets, &rules, &packet)?;
        }
    }
}

proptest! {
    #![proptest_config(config(4))]

    #[test]
    fn so_it_is_among_four_thousand(rules in rules(4_000..=4_000, Kind::Plain), turns in vec(turn(), 2_000)) {
        let sets = compiled(&rules);
        for packet in turns.iter().map(|turn| turn.packet(&rules)) {
            agree(&sets, &rules, &packet)?;
        }
    }
}

#[test]
fn packets_are_of_all_kinds() {
    let mut runner = TestRunner::deterministic();
    let mut kinds = [0_u32; 5];
    for _ in 0..100 {
        let rules = sample(&mut runner, &rules(100..=100, Kind::Wild));
        for _ in 0..20 {
            let packet = sample(&mut runner, &turn()).packet(&rules);
            let found = [Rule::DIR_IN | Rule::DIR_OUT, Rule::DIR_FWD].map(|dirs| {
                let rules: Vec<_> = rules.iter().filter(|rule| rule.verdict & dirs != 0).copied().collect();
                first_rule(&rules, &packet, 0)
            });
            let first = found.iter().flatten().any(|(_, policy)| *policy < 3);
            let demanded = by_walk(&rules, &packet).is_some();
            let tell = [found[0].is_some(), found[1].is_some(), demanded, first, packet.port_mask == 0];
            kinds.iter_mut().zip(tell).for_each(|(kind, is)| *kind += u32::from(is));
        }
    }
    assert!(kinds.iter().all(|kind| (20..1_900).contains(kind)), "of 2000: {kinds:?}");
}

fn protect(dir: u8, src: IpAddr, len: u8, policy: u32) -> Rule {
    let any = if src.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
    let rule = rule(dir, RuleAction::Protect, any, any, policy);
    Rule { src: Prefix::new(src, len), ..rule }
}

/// Networks of 4,096 sites for each of two directions, other ones in each.
fn sites(number: fn(u32) -> (IpAddr, u8)) -> Vec<Rule> {
    let one = |n: u32| {
        let (src, len) = number(n);
        protect(if n.is_multiple_of(2) { Rule::DIR_IN } else { Rule::DIR_FWD }, src, len, n + 1)
    };
    (0..2 * RULES).map(one).collect()
}

fn four(n: u32) -> (IpAddr, u8) {
    (Ipv4Addr::from(0x0a00_0000 + (n << 9)).into(), 24)
}

fn six(n: u32) -> (IpAddr, u8) {
    (Ipv6Addr::from((0xfd00_u128 << 112) + (u128::from(n.wrapping_mul(0x9e37_79b1)) << 80)).into(), 48)
}

#[test]
fn full_directions_of_other_networks_fit() {
    for number in [four, six] {
        let rules = sites(number);
        let sets = compiled(&rules);
        for (n, rule) in (0..).zip(&rules).step_by(7) {
            let net = u128::from_be_bytes(rule.src.net.octets());
            let inside = net + 77;
            for src in [inside, net + (1 << 90), net - 1] {
                let src = if rule.family == 4 {
                    Ipv4Addr::from(src as u32).into()
                } else {
                    IpAddr::from(Ipv6Addr::from(src))
                };
                let packet = Selector {
                    src: src.into(),
                    dst: src.into(),
                    sport: 1,
                    dport: 2,
                    proto: 6,
                    family: rule.family,
                    port_mask: u16::MAX,
                };
                assert_eq!(by_classes(&sets, &packet), by_walk(&rules, &packet), "rule {n}: {src}");
            }
        }
    }
}

#[test]
fn many_open_rules_between_many_networks_fit() {
    // Half of them name the source alone, half the destination: each class has rules in all words.
    let rules: Vec<_> = (0..RULES)
        .map(|n| {
            let named = protect(Rule::DIR_OUT, four(n).0, 24, n + 1);
            if n.is_multiple_of(2) { named } else { Rule { src: named.dst, dst: named.src, ..named } }
        })
        .collect();
    let sets = compiled(&rules);
    for n in 0..RULES {
        let (a, b) = (four(n).0, four((n * 31) % RULES).0);
        let packet = Selector {
            src: a.into(),
            dst: b.into(),
            sport: 1,
            dport: 2,
            proto: 6,
            family: 4,
            port_mask: u16::MAX,
        };
        assert_eq!(by_classes(&sets, &packet), by_walk(&rules, &packet));
    }
}

#[test]
fn one_rule_too_many_is_refused() {
    let mut rules = sites(four);
    assert!(compile(&rules, table(&rules)).is_ok());
    rules.push(protect(Rule::DIR_IN, four(0).0, 24, 1));
    assert_eq!(compile(&rules, table(&rules)).err(), Some(Full("rules")));
}

#[test]
fn more_classes_than_there_is_room_for_are_refused() {
    // Each port of both fields is accepted by other rules.
    let rules: Vec<_> = (0..16)
        .map(|bit| {
            let any = rule(Rule::DIR_OUT, RuleAction::Protect, "0.0.0.0/0", "0.0.0.0/0", bit + 1);
            Rule { sport: 1 << bit, sport_mask: 1 << bit, ..any }
        })
        .collect();
    assert_eq!(compile(&rules, table(&rules)).err(), Some(Full("classes of addresses and ports")));
    assert!(compile(&rules[..12], RuleTable::Out).is_ok());
}
