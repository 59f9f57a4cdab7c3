//! One line of the record: the attributes that tell an object from a stranger's with the same identity.
//!
//! The forms here are those of the file and independent of the model's and of any text, so that a change there
//! cannot make an agent disown what an older one made.

use crate::xfrm::model::{
    Algo, Mark, Mode, Net, ObservedPolicy, ObservedSa, Policy, PolicyAction, PolicyDir, Port, Sa, Template,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// How far the making of an object has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// About to be made, perhaps made.
    Intended,
    /// Made.
    Done,
}

/// One object.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Entry<T> {
    pub(super) state: State,
    /// Kernel's time of its making; `None` until it has been observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) added_s: Option<u64>,
    /// Kernel's index, of a policy only; `None` until it has been observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    #[serde(flatten)]
    pub(super) tag: T,
}

/// What a line says of its object.
pub(super) trait Tag: PartialEq {
    /// True when both have the identity by which the kernel finds an object that is updated in place.
    fn same_identity(&self, other: &Self) -> bool;
}

impl<T: Tag> Entry<T> {
    pub(super) const fn intended(tag: T) -> Self {
        Self { state: State::Intended, added_s: None, index: None, tag }
    }

    /// True when `now`, an object of the kernel, is what this line is about.
    ///
    /// A policy that another program updates keeps its index (`xfrm_policy_insert`) and stays ours; one that is
    /// deleted and made again has a new one (`xfrm_gen_index` counts on), and is not.
    pub(super) fn describes(&self, now: &Self) -> bool {
        if self.index.is_some() {
            return self.index == now.index && self.tag.same_identity(&now.tag);
        }
        self.tag == now.tag && self.added_s.is_none_or(|added| now.added_s.is_none_or(|now| now == added))
    }
}

impl Entry<SaTag> {
    /// The time of adding is no mark of an SA that expires by time: where the clock was set, the kernel moves it
    /// (`xfrm_timer_handler`).
    pub(super) fn of_sa(seen: &ObservedSa) -> Self {
        let limits = seen.sa.limits;
        let moves = [limits.soft_add_s, limits.hard_add_s].into_iter().flatten().any(|limit| limit != 0);
        let added_s = (!moves).then_some(seen.added_s);
        Self { state: State::Done, added_s, index: None, tag: SaTag::of(&seen.sa) }
    }
}

impl Entry<PolicyTag> {
    pub(super) fn of_policy(seen: &ObservedPolicy) -> Self {
        let tag = PolicyTag::of(&seen.policy);
        Self { state: State::Done, added_s: Some(seen.added_s), index: Some(seen.index), tag }
    }
}

/// What tells an SA. Nothing in it changes while the SA lives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct SaTag {
    dst: IpAddr,
    spi: u32,
    proto: u8,
    mark: (u32, u32),
    src: IpAddr,
    mode: u8,
    reqid: u32,
    if_id: u32,
    algorithms: Vec<String>,
}

impl SaTag {
    pub(super) fn of(sa: &Sa) -> Self {
        let suite = [&sa.suite.aead, &sa.suite.enc, &sa.suite.auth, &sa.suite.comp];
        Self {
            dst: sa.id.dst,
            spi: sa.id.spi.number(),
            proto: sa.id.proto,
            mark: mark(sa.id.mark),
            src: sa.src,
            mode: mode(sa.mode),
            reqid: sa.reqid,
            if_id: sa.if_id,
            algorithms: suite.into_iter().flatten().map(|Algo { name, .. }| name.clone()).collect(),
        }
    }
}

impl Tag for SaTag {
    fn same_identity(&self, other: &Self) -> bool {
        (self.dst, self.spi, self.proto, self.mark) == (other.dst, other.spi, other.proto, other.mark)
    }
}

/// What tells a policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct PolicyTag {
    dir: u8,
    src: (IpAddr, u8),
    dst: (IpAddr, u8),
    proto: u8,
    sport: (u16, u16),
    dport: (u16, u16),
    ifindex: u32,
    mark: (u32, u32),
    if_id: u32,
    priority: u32,
    block: bool,
    templates: Vec<TemplateTag>,
}

impl Tag for PolicyTag {
    fn same_identity(&self, other: &Self) -> bool {
        let identity = |tag: &Self| {
            let selector = (tag.src, tag.dst, tag.proto, tag.sport, tag.dport, tag.ifindex);
            (tag.dir, selector, tag.mark, tag.if_id)
        };
        identity(self) == identity(other)
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct TemplateTag {
    src: IpAddr,
    dst: IpAddr,
    spi: u32,
    proto: u8,
    mode: u8,
    reqid: u32,
    optional: bool,
}

impl PolicyTag {
    pub(super) fn of(policy: &Policy) -> Self {
        let selector = &policy.id.selector;
        Self {
            dir: dir(policy.id.dir),
            src: net(selector.src),
            dst: net(selector.dst),
            proto: selector.proto,
            sport: port(selector.sport),
            dport: port(selector.dport),
            ifindex: selector.ifindex,
            mark: mark(policy.id.mark),
            if_id: policy.id.if_id,
            priority: policy.priority,
            block: policy.action == PolicyAction::Block,
            templates: policy.templates.iter().map(TemplateTag::of).collect(),
        }
    }
}

impl TemplateTag {
    fn of(template: &Template) -> Self {
        let Template { src, dst, spi, proto, mode: of, reqid, optional } = *template;
        Self { src, dst, spi: spi.number(), proto, mode: mode(of), reqid, optional }
    }
}

/// The kernel's `XFRM_MODE_*`.
const fn mode(mode: Mode) -> u8 {
    match mode {
        Mode::Transport => 0,
        Mode::Tunnel => 1,
        Mode::Beet => 4,
        Mode::Other(number) => number,
    }
}

/// The kernel's `XFRM_POLICY_*`.
const fn dir(dir: PolicyDir) -> u8 {
    match dir {
        PolicyDir::In => 0,
        PolicyDir::Out => 1,
        PolicyDir::Fwd => 2,
    }
}

const fn mark(mark: Mark) -> (u32, u32) {
    (mark.value, mark.mask)
}

const fn net(net: Net) -> (IpAddr, u8) {
    (net.addr, net.len)
}

const fn port(port: Port) -> (u16, u16) {
    (port.port, port.mask)
}
