//! The rules of a table that are in force, as far as this agent knows.

use super::classifier::{Compiled, Full, compile};
use esp_common::{Rule, RuleSet, RuleTable};

/// Nothing is known of what an earlier agent left: it is replaced by the first rules that are asked for.
#[derive(Default)]
pub(super) struct InForce {
    rules: Option<Vec<Rule>>,
    note: Option<String>,
}

impl InForce {
    /// Compiles other rules than those in force, and names their set: none where there are none, or no room for them, which
    /// is said. Half a rule set would drop wrongly.
    pub(super) fn compile(
        &mut self,
        rules: &[Rule],
        table: RuleTable,
        set: &mut RuleSet,
    ) -> Option<(u32, Compiled)> {
        if self.rules.as_deref() == Some(rules) {
            return None;
        }
        let bank = set.other(table);
        self.note = None;
        *set = RuleSet::default();
        if rules.is_empty() {
            return None;
        }
        match compile(rules, table) {
            Ok(compiled) => {
                *set = RuleSet { number: bank + 1, count: rules.len() as u32 };
                Some((bank, compiled))
            }
            Err(Full(what)) => {
                let guard = if table == RuleTable::In { "cleartext_in" } else { "cleartext_out" };
                let policies = rules.len();
                self.note = Some(format!(
                    "guard {guard} is off: {policies} policies have more {what} than it can hold"
                ));
                None
            }
        }
    }

    /// They are in force now.
    pub(super) fn hold(&mut self, rules: &[Rule]) {
        if self.rules.as_deref() != Some(rules) {
            self.rules = Some(rules.to_vec());
        }
    }

    /// What had no room.
    pub(super) fn note(&self) -> Option<String> {
        self.note.clone()
    }
}
