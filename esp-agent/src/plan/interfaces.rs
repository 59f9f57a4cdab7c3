//! Steps for XFRM interfaces, their addresses and routes.

use super::{Conflict, Note, Observed, PartStep, Step, diff};
use crate::config::desired::{Desired, NamedPart};
use crate::record::Owned;
use crate::xfrm::interface::{ObservedLink, Part, PartId, XfrmLink};
use std::collections::{BTreeMap, BTreeSet};

/// Steps by class, and what stands against them.
#[derive(Default)]
pub(super) struct Draft {
    /// Links, new, changed or replaced, and addresses.
    pub(super) links: Vec<Step>,
    pub(super) routes: Vec<Step>,
    pub(super) obsolete_routes: Vec<Step>,
    /// Addresses, then links.
    pub(super) obsolete_links: Vec<Step>,
    pub(super) notes: Vec<Note>,
    pub(super) conflicts: Vec<Conflict>,
}

pub(super) fn draft(desired: &Desired, observed: &Observed, owned: &Owned) -> Draft {
    let mut there = There::of(observed, owned);
    let mut draft = Draft::default();
    for named in &desired.parts {
        match &named.part {
            Part::Link(link) => want_link(named, link, &mut there, &mut draft),
            Part::Address { .. } => draft.links.extend(want(named, &there, &mut draft.notes)),
            Part::Route { .. } => draft.routes.extend(want(named, &there, &mut draft.notes)),
        }
    }
    let wanted: BTreeSet<PartId> = desired.parts.iter().map(|named| named.part.id()).collect();
    for (id, part) in there.parts.iter().filter(|(id, _)| owned.parts.contains(id) && !wanted.contains(id)) {
        let step = Step::DeletePart(PartStep { part: part.clone(), label: None });
        match id {
            PartId::Route(..) => draft.obsolete_routes.push(step),
            PartId::Address(..) => draft.obsolete_links.insert(0, step),
            PartId::Link(_) => draft.obsolete_links.push(step),
        }
    }
    draft
}

struct There<'a> {
    links: BTreeMap<&'a str, &'a ObservedLink>,
    parts: BTreeMap<PartId, Part>,
    owned: &'a Owned,
}

impl<'a> There<'a> {
    fn of(observed: &'a Observed, owned: &'a Owned) -> Self {
        let links = observed.links.iter().map(|link| (link.name.as_str(), link)).collect();
        let parts =
            observed.links.iter().flat_map(ObservedLink::parts).map(|part| (part.id(), part)).collect();
        Self { links, parts, owned }
    }
}

fn want_link(named: &NamedPart, link: &XfrmLink, there: &mut There<'_>, draft: &mut Draft) {
    let Some(seen) = there.links.get(link.name.as_str()).copied() else {
        draft.links.push(Step::AddPart(step(named)));
        return;
    };
    let differs = diff::link(link, seen);
    match (differs.is_empty(), there.owned.parts.contains(&named.part.id())) {
        (true, true) => {}
        (true, false) => draft.notes.push(foreign(named)),
        (false, true) if seen.if_id == Some(link.if_id) => draft.links.push(Step::UpdateLink {
            old: XfrmLink { mtu: seen.mtu, ..link.clone() },
            was_up: seen.up,
            new: link.clone(),
            label: Some(named.tunnel.clone()),
        }),
        (false, true) => replace(named, link, there, draft),
        (false, false) => draft.conflicts.push(Conflict::Link {
            link: link.name.clone(),
            label: named.tunnel.clone(),
            differs,
        }),
    }
}

/// The kernel changes no if_id in place. All that hangs on a link goes with it.
fn replace(named: &NamedPart, link: &XfrmLink, there: &mut There<'_>, draft: &mut Draft) {
    if let Some(old) = there.parts.get(&named.part.id()).cloned() {
        draft.links.push(Step::DeletePart(PartStep { part: old, label: Some(named.tunnel.clone()) }));
    }
    draft.links.push(Step::AddPart(step(named)));
    there.parts.retain(|id, _| id.link() != link.name);
}

fn want(named: &NamedPart, there: &There<'_>, notes: &mut Vec<Note>) -> Option<Step> {
    let id = named.part.id();
    if !there.parts.contains_key(&id) {
        return Some(Step::AddPart(step(named)));
    }
    if !there.owned.parts.contains(&id) {
        notes.push(foreign(named));
    }
    None
}

fn foreign(named: &NamedPart) -> Note {
    Note::ForeignPart { part: named.part.id(), label: named.tunnel.clone() }
}

fn step(named: &NamedPart) -> PartStep {
    PartStep { part: named.part.clone(), label: Some(named.tunnel.clone()) }
}
