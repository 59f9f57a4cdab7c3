//! Steps for the SPD.

use super::{Conflict, Note, Observed, PolicyStep, Step, diff};
use crate::config::desired::{Desired, NamedPolicy};
use crate::record::Owned;
use crate::xfrm::model::{ObservedPolicy, PolicyId};
use std::collections::{BTreeMap, BTreeSet};

/// Steps by class, and what stands against them.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) added: Vec<Step>,
    pub(super) updated: Vec<Step>,
    pub(super) obsolete: Vec<Step>,
    pub(super) notes: Vec<Note>,
    pub(super) conflicts: Vec<Conflict>,
}

pub(super) fn draft(desired: &Desired, observed: &Observed, owned: &Owned) -> Draft {
    let by_id = observed.policies_by_id();
    let mut draft = Draft::default();
    let mut wanted = BTreeSet::new();
    for named in &desired.policies {
        if wanted.insert(named.policy.id.clone()) {
            want(named, &by_id, owned, &mut draft);
        } else {
            draft.conflicts.push(Conflict::PolicyTwice { policy: named.policy.id.clone() });
        }
    }
    let obsolete = owned.policies.difference(&wanted).filter_map(|id| by_id.get(id));
    draft.obsolete.extend(
        obsolete.map(|seen| Step::DeletePolicy(PolicyStep { policy: seen.policy.clone(), label: None })),
    );
    draft
}

fn want(named: &NamedPolicy, by_id: &BTreeMap<&PolicyId, &ObservedPolicy>, owned: &Owned, draft: &mut Draft) {
    let id = &named.policy.id;
    let new = PolicyStep { policy: named.policy.clone(), label: Some(named.name.clone()) };
    let Some(seen) = by_id.get(id) else {
        draft.added.push(Step::AddPolicy(new));
        return;
    };
    let differs = diff::policy(&named.policy, &seen.policy);
    match (differs.is_empty(), owned.policies.contains(id)) {
        (true, true) => {}
        (true, false) => {
            draft.notes.push(Note::ForeignPolicy { policy: id.clone(), label: named.name.clone() })
        }
        (false, true) => draft.updated.push(Step::UpdatePolicy { old: seen.policy.clone(), new }),
        (false, false) => {
            let label = named.name.clone();
            draft.conflicts.push(Conflict::Policy { policy: id.clone(), label, differs });
        }
    }
}
