//! Steps for the SAD.

use super::{Conflict, Note, Observed, SaStep, Step, diff};
use crate::config::desired::{Desired, KeyedSa};
use crate::record::Owned;
use crate::secret::KeyPrint;
use crate::xfrm::model::{Mark, ObservedSa, SaId};
use std::collections::{BTreeMap, BTreeSet};

/// Steps by class, and what stands against them.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) added: Vec<Step>,
    /// Pairs of a deletion and an addition.
    pub(super) replaced: Vec<Step>,
    pub(super) obsolete: Vec<Step>,
    pub(super) notes: Vec<Note>,
    pub(super) conflicts: Vec<Conflict>,
}

pub(super) fn draft(desired: &Desired, observed: &Observed, owned: &Owned) -> Draft {
    let there = There { by_id: observed.sas_by_id(), owned };
    let mut draft = Draft::default();
    let mut wanted = BTreeSet::new();
    for keyed in &desired.sas {
        if !wanted.insert(keyed.sa.id) {
            draft.conflicts.push(Conflict::SaTwice { sa: keyed.sa.id });
            continue;
        }
        want(keyed, &there, &mut draft);
    }
    note_hidden_keys(desired, &there, &mut draft);
    for id in owned.sas.difference(&wanted) {
        drop_obsolete(id, &there, &mut draft);
    }
    draft
}

struct There<'a> {
    by_id: BTreeMap<SaId, &'a ObservedSa>,
    owned: &'a Owned,
}

impl There<'_> {
    /// Another SA that the kernel may find when it is asked for `id`: marks may overlap.
    fn rival(&self, id: &SaId) -> Option<SaId> {
        let first = SaId { proto: 0, mark: Mark::default(), ..*id };
        let alike = self.by_id.range(first..).map(|(other, _)| other);
        let alike = alike.take_while(|other| (other.dst, other.spi) == (id.dst, id.spi));
        alike.filter(|other| *other != id).find(|other| diff::answers_for(id, other)).copied()
    }
}

fn want(keyed: &KeyedSa, there: &There<'_>, draft: &mut Draft) {
    let id = keyed.sa.id;
    if let Some(by) = there.rival(&id) {
        draft.conflicts.push(Conflict::SaMark { sa: id, by });
        return;
    }
    let Some(seen) = there.by_id.get(&id) else {
        draft.added.push(Step::AddSa(step(keyed)));
        return;
    };
    let differs = diff::sa(&keyed.sa, seen);
    match (differs.is_empty(), there.owned.sas.contains(&id)) {
        (true, true) => {}
        (true, false) => draft.notes.push(Note::ForeignSa { sa: id, label: keyed.tunnel.clone() }),
        (false, true) => replace(keyed, seen, differs, draft),
        (false, false) => {
            draft.conflicts.push(Conflict::Sa { sa: id, label: keyed.tunnel.clone(), differs });
        }
    }
}

fn replace(keyed: &KeyedSa, seen: &ObservedSa, differs: Vec<&'static str>, draft: &mut Draft) {
    let old = SaStep { sa: seen.sa.clone(), label: keyed.tunnel.clone() };
    draft.replaced.extend([Step::DeleteSa(old), Step::AddSa(step(keyed))]);
    draft.notes.push(Note::Replaces { sa: keyed.sa.id, label: keyed.tunnel.clone(), differs });
}

fn step(keyed: &KeyedSa) -> SaStep {
    SaStep { sa: keyed.sa.clone(), label: keyed.tunnel.clone() }
}

fn drop_obsolete(id: &SaId, there: &There<'_>, draft: &mut Draft) {
    let Some(seen) = there.by_id.get(id) else { return };
    match there.rival(id) {
        Some(by) => draft.notes.push(Note::Stuck { sa: *id, by }),
        None => draft.obsolete.push(Step::DeleteSa(SaStep { sa: seen.sa.clone(), label: None })),
    }
}

fn note_hidden_keys(desired: &Desired, there: &There<'_>, draft: &mut Draft) {
    let hidden = |keyed: &&KeyedSa| {
        let seen = there.by_id.get(&keyed.sa.id).map(|seen| seen.sa.keys);
        there.owned.sas.contains(&keyed.sa.id)
            && seen == Some(KeyPrint::Hidden)
            && keyed.sa.keys != KeyPrint::Hidden
    };
    let count = desired.sas.iter().filter(hidden).count();
    if count > 0 {
        draft.notes.push(Note::KeysHidden { count });
    }
}
