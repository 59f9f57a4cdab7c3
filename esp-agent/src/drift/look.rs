//! What has drifted, and the steps back: pure.

use super::Object;
use crate::config::desired::Desired;
use crate::plan::{Conflict, Note, Observed, Plan, Step, plan};
use crate::record::Owned;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// One object that is not as it shall be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Which.
    pub object: Object,
    /// Its name in the configuration, if it has one.
    pub label: Option<String>,
    /// How it was found.
    pub what: What,
}

/// How an object was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// It is not there.
    Missing,
    /// It is there and ours, and someone changed it: attributes, by name.
    Changed(Vec<&'static str>),
    /// Another program has made one in its place. The text says which, and the way out.
    Foreign(String),
}

impl What {
    /// The label in metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed(_) => "changed",
            Self::Foreign(_) => "foreign",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, label, what } = self;
        if let What::Foreign(text) = what {
            return f.write_str(text);
        }
        write!(f, "{object}")?;
        if let Some(label) = label {
            write!(f, " ({label})")?;
        }
        match what {
            What::Missing => write!(f, " is gone, deleted or flushed by another program"),
            What::Changed(differs) => write!(f, " was changed by another program: {}", differs.join(", ")),
            What::Foreign(_) => Ok(()),
        }
    }
}

/// All that has drifted, in the order of the repair, and the repair.
///
/// The repair brings back only what is wanted: it deletes nothing but the old half of a replacement, and it touches no
/// object that another program has made.
#[must_use]
pub fn look(desired: &Desired, observed: &Observed, owned: &Owned) -> (Vec<Finding>, Plan) {
    let (wanted, conflicts) = without_conflicts(desired, observed, owned);
    let plan = plan(&wanted, observed, owned).unwrap_or_default();
    let sas = wanted.sas.iter().map(|keyed| Object::Sa(keyed.sa.id));
    let policies = wanted.policies.iter().map(|named| Object::Policy(named.policy.id.clone()));
    let parts = wanted.parts.iter().map(|named| Object::Part(named.part.id()));
    let default = wanted.default_policy.map(|_| Object::DefaultPolicy);
    let objects: HashSet<Object> = sas.chain(policies).chain(parts).chain(default).collect();
    let steps = plan.steps.into_iter().filter(|step| objects.contains(&Object::of(step)));
    let plan = Plan { steps: steps.collect(), notes: plan.notes };
    let mut findings: Vec<Finding> = conflicts;
    for step in &plan.steps {
        findings.extend(finding(step, &plan));
    }
    (findings, plan)
}

/// What is left to be wanted when objects of others stand in the way of the rest.
fn without_conflicts(desired: &Desired, observed: &Observed, owned: &Owned) -> (Desired, Vec<Finding>) {
    let mut wanted = desired.clone();
    let mut found: BTreeMap<Object, Finding> = BTreeMap::new();
    while let Err(conflicts) = plan(&wanted, observed, owned) {
        let before = count(&wanted);
        for conflict in &conflicts {
            let object = Object::wanted_by(conflict);
            match &object {
                Object::Sa(id) => wanted.sas.retain(|keyed| keyed.sa.id != *id),
                Object::Policy(id) => wanted.policies.retain(|named| named.policy.id != *id),
                // What would hang on a link of another program is not wanted either.
                Object::Part(id) => wanted.parts.retain(|named| named.part.id().link() != id.link()),
                Object::DefaultPolicy => wanted.default_policy = None,
            }
            found.insert(object.clone(), foreign(object, conflict));
        }
        if count(&wanted) == before {
            break;
        }
    }
    (wanted, found.into_values().collect())
}

fn count(wanted: &Desired) -> usize {
    wanted.sas.len() + wanted.policies.len() + wanted.parts.len()
}

fn foreign(object: Object, conflict: &Conflict) -> Finding {
    let label = match conflict {
        Conflict::Sa { label, .. } => label.clone(),
        Conflict::Policy { label, .. } | Conflict::Link { label, .. } => Some(label.clone()),
        Conflict::SaMark { .. } | Conflict::SaTwice { .. } | Conflict::PolicyTwice { .. } => None,
    };
    Finding { object, label, what: What::Foreign(conflict.to_string()) }
}

/// A replacement is two steps and one finding.
fn finding(step: &Step, plan: &Plan) -> Option<Finding> {
    let object = Object::of(step);
    let replaced = |id| {
        plan.notes.iter().find_map(|note| match note {
            Note::Replaces { sa, differs, .. } if *sa == id => Some(differs.clone()),
            Note::Replaces { .. }
            | Note::ForeignSa { .. }
            | Note::ForeignPolicy { .. }
            | Note::ForeignPart { .. }
            | Note::KeysHidden { .. }
            | Note::Rotated { .. }
            | Note::Mtu(_)
            | Note::Stuck { .. } => None,
        })
    };
    let (label, what) = match step {
        Step::DeleteSa(_) | Step::DeletePolicy(_) | Step::DeletePart(_) => return None,
        Step::AddSa(new) => (new.label.clone(), replaced(new.sa.id).map_or(What::Missing, What::Changed)),
        Step::AddPolicy(new) => (new.label.clone(), What::Missing),
        Step::AddPart(new) => (new.label.clone(), What::Missing),
        Step::UpdateLink { old, was_up, new, label } => {
            let differs = crate::plan::diff::link_in_place(new, old.mtu, *was_up);
            (label.clone(), What::Changed(differs.collect()))
        }
        Step::SetDefault { .. } => (None, What::Changed(vec!["action"])),
        Step::UpdatePolicy { old, new } => {
            (new.label.clone(), What::Changed(crate::plan::diff::policy(&new.policy, old)))
        }
    };
    Some(Finding { object, label, what })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::{lab, observed, sa};
    use crate::xfrm::model::SaDir;

    fn owned() -> Owned {
        let desired = lab();
        Owned {
            sas: desired.sas.iter().map(|keyed| keyed.sa.id).collect(),
            policies: desired.policies.iter().map(|named| named.policy.id.clone()).collect(),
            ..Owned::default()
        }
    }

    fn labels(findings: &[Finding]) -> Vec<(&'static str, &'static str)> {
        findings.iter().map(|found| (found.object.kind(), found.what.label())).collect()
    }

    #[test]
    fn nothing_has_drifted_where_all_is_there() {
        assert_eq!(look(&lab(), &observed(&lab()), &owned()), (Vec::new(), Plan::default()));
    }

    #[test]
    fn a_flush_is_all_of_it_in_the_order_of_a_plan() {
        let (findings, plan) = look(&lab(), &Observed::default(), &Owned::default());
        let expected = [("sa", "missing"); 2].into_iter().chain([("policy", "missing"); 3]);
        assert_eq!(labels(&findings), expected.collect::<Vec<_>>());
        assert_eq!(plan.steps.len(), 5);
    }

    #[test]
    fn changes_are_told_by_attribute_and_objects_of_others_stay() {
        let mut there = observed(&lab());
        there.sas[0].sa.replay_window = 7;
        there.policies[0].policy.priority = 7;
        there.policies[1].policy.priority = 9;
        let mut owned = owned();
        owned.policies.remove(&there.policies[1].policy.id);
        let (findings, plan) = look(&lab(), &there, &owned);
        let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(labels(&findings), [("policy", "foreign"), ("sa", "changed"), ("policy", "changed")]);
        assert!(text[0].contains("not made by this agent") && text[1].contains("replay window"), "{text:?}");
        assert!(text[2].contains("priority"), "{text:?}");
        let theirs = Object::Policy(there.policies[1].policy.id.clone());
        assert!(plan.steps.iter().all(|step| Object::of(step) != theirs), "{plan}");
    }

    #[test]
    fn what_is_ours_and_no_longer_wanted_is_not_the_business_of_a_repair() {
        let mut there = observed(&lab());
        there.policies.truncate(2);
        let extra = sa("10.55.55.1", "10.66.66.1", 0x9999, SaDir::Out);
        there.sas.push(crate::plan::samples::observed_sa(&extra, 1));
        let mut owned = owned();
        owned.sas.insert(extra.id);
        let (findings, plan) = look(&lab(), &there, &owned);
        assert_eq!(labels(&findings), [("policy", "missing")]);
        assert_eq!(plan.steps.len(), 1);
    }
}
