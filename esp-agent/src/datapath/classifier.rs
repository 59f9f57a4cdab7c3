//! From rules in order to what the datapath searches ([`esp_common::classifier`]): pure.

mod addresses;
mod bank;
mod bits;
mod tree;
mod values;

pub use bank::{Compiled, Full};

use bank::Bank;
use bits::Open;
use esp_common::{
    Rule, RuleTable,
    classifier::{Field, Head, verdict},
    names::RULES,
};
use values::Listed;

/// A rule and its bit: its plane and its place there.
#[derive(Clone, Copy)]
struct Placed<'a> {
    rule: &'a Rule,
    bit: u32,
}

/// Compiles the rules of a table, the first one first.
///
/// # Errors
/// They are more than a bank can hold.
pub fn compile(rules: &[Rule], table: RuleTable) -> Result<Compiled, Full> {
    let planes = planes(rules, table);
    let placed = place(&planes)?;
    let (mut bank, mut open) = (Bank::new(), Open::default());
    for Placed { rule, bit } in &placed {
        bank.judge(*bit, verdict(rule.verdict, rule.policy));
    }
    let listed =
        [Field::Proto, Field::Dport, Field::Sport].map(|field| Listed::of(&placed, field, &mut open));
    let mut head = Head { planes: planes.len() as u32, ..Head::default() };
    for (table, listed) in head.tables.iter_mut().zip(&listed) {
        *table = listed.reserve(&mut bank)?;
    }
    head.records = bank.first_record()?;
    for (family, roots) in [4, 6].into_iter().zip(&mut head.roots) {
        for (field, root) in [Field::Src, Field::Dst].into_iter().zip(roots) {
            *root = addresses::build(&placed, family, field, &mut open, &mut bank)?.0;
        }
    }
    for (listed, table) in listed.iter().zip(head.tables) {
        listed.fill(table, &mut bank)?;
    }
    let [_, dport, sport] = &listed;
    head.hidden = [bank.record(&dport.hidden())?, bank.record(&sport.hidden())?];
    Ok(bank.finish(&head, &open))
}

/// Numbers the rules of each plane, in their order.
fn place<'a>(planes: &[Vec<&'a Rule>]) -> Result<Vec<Placed<'a>>, Full> {
    let mut placed = Vec::new();
    for (first, rules) in (0..).step_by(RULES as usize).zip(planes) {
        if rules.len() > RULES as usize {
            return Err(Full("rules"));
        }
        placed.extend((first..).zip(rules).map(|(bit, rule)| Placed { rule, bit }));
    }
    Ok(placed)
}

/// The rules of each plane; those of other directions select nothing. `fwd` comes first: it is named where both directions
/// demand protection. Where the other direction has no other rules, as it mostly has, one plane says it all.
fn planes(rules: &[Rule], table: RuleTable) -> Vec<Vec<&Rule>> {
    let of = |dir| rules.iter().filter(|rule| rule.verdict & dir != 0).collect::<Vec<_>>();
    match table {
        RuleTable::Out => vec![of(Rule::DIR_OUT)],
        RuleTable::In => {
            let (forward, here) = (of(Rule::DIR_FWD), of(Rule::DIR_IN));
            let twins = |(a, b): (&&Rule, &&Rule)| {
                let Rule { policy, verdict, .. } = **a;
                **a == Rule { policy, verdict, ..**b } && verdict >> 4 == b.verdict >> 4
            };
            if here.is_empty() || forward.len() == here.len() && forward.iter().zip(&here).all(twins) {
                vec![forward]
            } else if forward.is_empty() {
                vec![here]
            } else {
                vec![forward, here]
            }
        }
    }
}
