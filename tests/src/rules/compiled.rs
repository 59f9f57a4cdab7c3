//! Compiled rules in memory, and a plain walk beside them.

use crate::tables::first_rule;
use esp_agent::datapath::classifier::Compiled;
use esp_common::{
    Rule, Selector,
    classifier::{FIELDS, Line},
};
use esp_datapath::{
    classifier::{Sets, classes, demanded, first},
    policy::{Found, demands},
};

/// Compiled rules in memory.
pub struct InMemory(pub Compiled);

impl Sets for InMemory {
    fn line(&self, at: u32) -> &Line {
        self.0.line(at).expect("a line that is used")
    }

    fn word(&self, at: u32) -> u64 {
        // What is not used is read too, and masked.
        self.0.word(at).unwrap_or(u64::MAX)
    }
}

/// The policy that demands protection, by the compiled rules.
#[must_use]
pub fn by_classes(sets: &InMemory, packet: &Selector) -> Option<u32> {
    demanded(sets, packet)
}

/// The first rule on each plane.
#[must_use]
pub fn firsts(sets: &InMemory, packet: &Selector) -> Vec<Option<(u8, u32)>> {
    let classes = classes(sets, packet);
    (0..classes.planes).map(|plane| first::<_, FIELDS>(sets, plane, packet.family, &classes)).collect()
}

/// By a plain walk.
#[must_use]
pub fn by_walk(rules: &[Rule], packet: &Selector) -> Option<u32> {
    let found = |dir| Found::of(first_rule(rules, packet, dir));
    let out = rules.iter().any(|rule| rule.verdict & Rule::DIR_OUT != 0);
    demands(found(Rule::DIR_FWD), found(if out { Rule::DIR_OUT } else { Rule::DIR_IN }))
}
