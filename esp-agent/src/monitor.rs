//! Events of the kernel as lines: for people, and as JSON with a schema that only grows. There is no place for a key.

mod text;

use crate::collect::direction;
use crate::picture::Picture;
use crate::plan::text::{PolicyName, mode_name, suite_text};
use crate::xfrm::events::Event;
use crate::xfrm::model::{Mark, ObservedSa, PolicyAction, PolicyDir, PolicyId, SaDir, SaId};
use esp_common::Direction;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// Version of the schema of a line.
pub const SCHEMA: u32 = 1;

/// One line. Fields that say nothing about an event are left out of its JSON.
#[derive(Serialize, Debug, Default)]
pub struct Line {
    schema: u32,
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spi: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reqid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    if_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    larval: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oseq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selector: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sas: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<usize>,
}

impl Line {
    /// An event, with what `picture` knew of its object before the event and knows after it.
    #[must_use]
    pub fn of(time: String, event: &Event, before: &Known, picture: &Picture) -> Self {
        let mut line = Self { schema: SCHEMA, time, event: event.label(), ..Self::default() };
        match event {
            Event::SaAdded(observed) | Event::SaUpdated(observed) => line.sa(observed, picture),
            Event::SaDeleted(id) => line.gone(id, before, picture),
            Event::SaExpired { id, detail, .. } => {
                line.gone(id, before, picture);
                (line.src, line.reqid) = (Some(detail.src), Some(detail.reqid));
                line.if_id = Some(detail.if_id).filter(|if_id| *if_id != 0);
                line.direction = detail.dir.map(dir_label).or(line.direction);
                (line.packets, line.bytes) = (Some(detail.packets), Some(detail.bytes));
            }
            Event::SaProgressed(progress) => {
                line.identity(&progress.id, picture);
                (line.src, line.reqid) = (Some(progress.src), Some(progress.reqid));
                (line.packets, line.bytes) = (Some(progress.packets), Some(progress.bytes));
                (line.oseq, line.seq) = (Some(progress.now.oseq), Some(progress.now.seq));
            }
            Event::SaFlushed { proto } => (line.proto, line.sas) = (Some(*proto), Some(before.sas)),
            Event::PolicyAdded(observed) | Event::PolicyUpdated(observed) => {
                line.policy(&observed.policy.id, observed.index, picture.policy_name(observed.index));
                line.priority = Some(observed.policy.priority);
                line.action = Some(action(observed.policy.action));
            }
            Event::PolicyDeleted { index, id } | Event::PolicyExpired { index, id, .. } => {
                let name = before.policy.clone().unwrap_or_else(|| PolicyName(id).to_string());
                line.policy(id, *index, name);
            }
            Event::PolicyFlushed => line.policies = Some(before.policies),
            Event::PolicyDefault { inbound, forward, out } => {
                let [inbound, forward, out] = [inbound, forward, out].map(|one| action(*one));
                line.new = Some(format!("in {inbound}, fwd {forward}, out {out}"));
            }
            Event::Acquire(acquire) => {
                (line.src, line.dst) = (Some(acquire.src), Some(acquire.dst));
                line.proto = Some(acquire.proto);
                line.reqid = acquire.templates.first().map(|template| template.reqid);
                line.mode = acquire.templates.first().map(|template| mode_name(template.mode));
                line.if_id = Some(acquire.if_id).filter(|if_id| *if_id != 0);
                line.mark = mark(acquire.mark);
                line.index = Some(acquire.policy);
                line.policy = Some(picture.policy_name(acquire.policy)).filter(|name| !name.is_empty());
                line.selector = Some(text::selector(&acquire.selector));
            }
            Event::Migrated(migration) => {
                let ends = |(src, dst): (IpAddr, IpAddr)| format!("{src} -> {dst}");
                (line.old, line.new) = (Some(ends(migration.old)), Some(ends(migration.new)));
                (line.proto, line.reqid) = (Some(migration.proto), Some(migration.reqid));
                line.mode = Some(mode_name(migration.mode));
                line.selector = Some(text::selector(&migration.selector));
            }
            Event::Reported { proto, selector } => {
                (line.proto, line.selector) = (Some(*proto), Some(text::selector(selector)));
            }
            Event::Mapping { id, old, new } => {
                line.identity(id, picture);
                let end = |(addr, port): (IpAddr, u16)| SocketAddr::new(addr, port).to_string();
                (line.old, line.new) = (Some(end(*old)), Some(end(*new)));
            }
            Event::Unknown { kind } | Event::Unreadable { kind } => line.kind = Some(*kind),
            Event::Overrun => {}
        }
        line
    }

    /// A full reading after events were lost.
    #[must_use]
    pub fn resync(time: String, picture: &Picture) -> Self {
        let (sas, policies) = (Some(picture.sas.len()), Some(picture.policies.len()));
        Self { schema: SCHEMA, time, event: "resync", sas, policies, ..Self::default() }
    }

    fn sa(&mut self, observed: &ObservedSa, picture: &Picture) {
        let sa = &observed.sa;
        self.identity(&sa.id, picture);
        (self.src, self.reqid, self.mode) = (Some(sa.src), Some(sa.reqid), Some(mode_name(sa.mode)));
        self.if_id = Some(sa.if_id).filter(|if_id| *if_id != 0);
        self.suite = Some(suite_text(&sa.suite)).filter(|suite| !suite.is_empty());
        self.larval = Some(true).filter(|_| observed.larval);
        self.direction = direction(observed, picture).map(Direction::label);
    }

    fn gone(&mut self, id: &SaId, before: &Known, picture: &Picture) {
        if let Some(observed) = &before.sa {
            self.sa(observed, picture);
        }
        self.identity(id, picture);
        let stone = picture.tombstones.of(id.dst, id.spi).filter(|_| !picture.sas.contains_key(id));
        self.cause = stone.map(|stone| stone.cause.label());
    }

    fn identity(&mut self, id: &SaId, picture: &Picture) {
        (self.dst, self.spi, self.proto) = (Some(id.dst), Some(id.spi.to_string()), Some(id.proto));
        self.mark = mark(id.mark);
        self.tunnel = Some(picture.tunnel(id).to_owned());
    }

    fn policy(&mut self, id: &PolicyId, index: u32, name: String) {
        (self.policy, self.index) = (Some(name), Some(index));
        self.direction = Some(match id.dir {
            PolicyDir::In => "in",
            PolicyDir::Out => "out",
            PolicyDir::Fwd => "fwd",
        });
        self.selector = Some(text::selector(&id.selector));
        self.mark = mark(id.mark);
        self.if_id = Some(id.if_id).filter(|if_id| *if_id != 0);
    }
}

/// What a picture knows of the object of an event.
#[derive(Default, Debug)]
pub struct Known {
    sa: Option<ObservedSa>,
    policy: Option<String>,
    sas: usize,
    policies: usize,
}

impl Known {
    /// Looks it up.
    #[must_use]
    pub fn of(event: &Event, picture: &Picture) -> Self {
        let (sas, policies) = (picture.sas.len(), picture.policies.len());
        let (mut sa, mut policy) = (None, None);
        if let Event::SaDeleted(id) | Event::SaExpired { id, .. } = event {
            sa = picture.sas.get(id).cloned();
        }
        if let Event::PolicyDeleted { index, .. } | Event::PolicyExpired { index, .. } = event {
            policy = picture.policies.contains_key(index).then(|| picture.policy_name(*index));
        }
        Self { sa, policy, sas, policies }
    }
}

const fn dir_label(dir: SaDir) -> &'static str {
    match dir {
        SaDir::In => "in",
        SaDir::Out => "out",
    }
}

const fn action(action: PolicyAction) -> &'static str {
    match action {
        PolicyAction::Allow => "allow",
        PolicyAction::Block => "block",
    }
}

fn mark(mark: Mark) -> Option<String> {
    (mark != Mark::default()).then(|| format!("{:#x}/{:#x}", mark.value, mark.mask))
}

#[cfg(test)]
mod tests;
