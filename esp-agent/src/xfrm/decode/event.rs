//! The multicast messages of XFRM.

mod rare;

pub use rare::{Migration, SaProgress};

use super::policy::{info, main, templates};
use super::sa::{dir, id, info_id};
use super::shared::{mark, number, selector};
use super::{policy, sa};
use crate::nl::fields::{DecodeError, Fields};
use crate::nl::frame::Frame;
use crate::xfrm::model::{
    Mark, ObservedPolicy, ObservedSa, PolicyAction, PolicyId, SaDir, SaId, Selector, Template,
};
use crate::xfrm::uapi;
use std::net::IpAddr;

/// A change that the kernel tells of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// `XFRM_MSG_NEWSA`.
    SaAdded(Box<ObservedSa>),
    /// `XFRM_MSG_UPDSA`.
    SaUpdated(Box<ObservedSa>),
    /// `XFRM_MSG_DELSA`.
    SaDeleted(SaId),
    /// `XFRM_MSG_EXPIRE`. After a hard expiry the SA is gone and no [`Event::SaDeleted`] follows.
    SaExpired {
        /// Identity.
        id: SaId,
        /// True at the hard limit.
        hard: bool,
        /// What else the kernel tells.
        detail: Box<Expiry>,
    },
    /// `XFRM_MSG_NEWAE`: sequence numbers and lifetime of an SA moved on.
    SaProgressed(Box<SaProgress>),
    /// `XFRM_MSG_FLUSHSA`: all SAs of `proto` are gone; 0 and 255 stand for all protocols.
    SaFlushed {
        /// IP protocol.
        proto: u8,
    },
    /// `XFRM_MSG_NEWPOLICY`.
    PolicyAdded(Box<ObservedPolicy>),
    /// `XFRM_MSG_UPDPOLICY`: added, or in place of the one with its id.
    PolicyUpdated(Box<ObservedPolicy>),
    /// `XFRM_MSG_DELPOLICY`.
    PolicyDeleted {
        /// The kernel's index.
        index: u32,
        /// Identity.
        id: PolicyId,
    },
    /// `XFRM_MSG_POLEXPIRE`. After a hard expiry the policy is gone and no [`Event::PolicyDeleted`] follows.
    PolicyExpired {
        /// The kernel's index.
        index: u32,
        /// Identity.
        id: PolicyId,
        /// True at the hard limit.
        hard: bool,
    },
    /// `XFRM_MSG_FLUSHPOLICY`: all policies are gone.
    PolicyFlushed,
    /// The default policy changed (`XFRM_MSG_GETDEFAULT`, Linux 5.14): what becomes of packets that match none.
    PolicyDefault {
        /// For `in`.
        inbound: PolicyAction,
        /// For `fwd`.
        forward: PolicyAction,
        /// For `out`.
        out: PolicyAction,
    },
    /// `XFRM_MSG_ACQUIRE`: a packet needs an SA that is not there.
    Acquire(Box<Acquire>),
    /// `XFRM_MSG_MIGRATE`: policies and SAs moved to other addresses.
    Migrated(Box<Migration>),
    /// `XFRM_MSG_REPORT`: an extension header broke a rule (Mobile IPv6).
    Reported {
        /// IP protocol.
        proto: u8,
        /// The packet.
        selector: Selector,
    },
    /// `XFRM_MSG_MAPPING`: the peer's NAT changed its address or port.
    Mapping {
        /// Identity of the inbound SA.
        id: SaId,
        /// Old source and its port.
        old: (IpAddr, u16),
        /// New source and its port.
        new: (IpAddr, u16),
    },
    /// A message of a kind that this agent does not know: a newer kernel's.
    Unknown {
        /// `nlmsg_type`.
        kind: u16,
    },
    /// The kernel dropped messages (`ENOBUFS`): read everything again.
    Overrun,
    /// A message that cannot be read, by its kind: read everything again.
    Unreadable {
        /// `nlmsg_type`, or 0 when not even the header can be read.
        kind: u16,
    },
}

/// What comes with [`Event::SaExpired`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// Source.
    pub src: IpAddr,
    /// Request id.
    pub reqid: u32,
    /// XFRM interface; 0 is none.
    pub if_id: u32,
    /// Direction, where the kernel knows it.
    pub dir: Option<SaDir>,
    /// Bytes that it has transformed.
    pub bytes: u64,
    /// Packets that it has transformed.
    pub packets: u64,
}

/// What comes with [`Event::Acquire`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acquire {
    /// Source of the SA.
    pub src: IpAddr,
    /// Destination of the SA.
    pub dst: IpAddr,
    /// IP protocol of the SA.
    pub proto: u8,
    /// The packet.
    pub selector: Selector,
    /// Index of the policy that asks for the SA.
    pub policy: u32,
    /// What the policy asks for; empty where the kernel does not tell.
    pub templates: Vec<Template>,
    /// Mark of the SA.
    pub mark: Mark,
    /// XFRM interface; 0 is none.
    pub if_id: u32,
    /// The kernel's number of the request.
    pub seq: u32,
}

impl Event {
    /// The word of metrics and JSON.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::SaAdded(_) => "sa_new",
            Self::SaUpdated(_) => "sa_update",
            Self::SaDeleted(_) => "sa_delete",
            Self::SaExpired { hard: false, .. } => "sa_expire_soft",
            Self::SaExpired { hard: true, .. } => "sa_expire_hard",
            Self::SaProgressed(_) => "sa_progress",
            Self::SaFlushed { .. } => "sa_flush",
            Self::PolicyAdded(_) => "policy_new",
            Self::PolicyUpdated(_) => "policy_update",
            Self::PolicyDeleted { .. } => "policy_delete",
            Self::PolicyExpired { hard: false, .. } => "policy_expire_soft",
            Self::PolicyExpired { hard: true, .. } => "policy_expire_hard",
            Self::PolicyFlushed => "policy_flush",
            Self::PolicyDefault { .. } => "policy_default",
            Self::Acquire(_) => "acquire",
            Self::Migrated(_) => "migrate",
            Self::Reported { .. } => "report",
            Self::Mapping { .. } => "mapping",
            Self::Unknown { .. } => "unknown",
            Self::Overrun => "overrun",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

/// One message. `None` for policies that the model leaves out; what cannot be read is
/// [`Event::Unreadable`].
#[must_use]
pub fn event(frame: &Frame<'_>) -> Option<Event> {
    decode(frame).unwrap_or(Some(Event::Unreadable { kind: frame.kind }))
}

fn decode(frame: &Frame<'_>) -> Result<Option<Event>, DecodeError> {
    let fields = Fields::new(frame.body);
    let event = match frame.kind {
        uapi::NEWSA => Event::SaAdded(Box::new(sa(frame.body)?)),
        uapi::UPDSA => Event::SaUpdated(Box::new(sa(frame.body)?)),
        uapi::DELSA => Event::SaDeleted(id(fields, fields.attrs(uapi::USERSA_ID_LEN))?),
        uapi::EXPIRE => sa_expired(fields)?,
        uapi::FLUSHSA => Event::SaFlushed { proto: fields.u8(0)? },
        uapi::NEWPOLICY => return Ok(policy(frame.body)?.map(|found| Event::PolicyAdded(Box::new(found)))),
        uapi::UPDPOLICY => return Ok(policy(frame.body)?.map(|found| Event::PolicyUpdated(Box::new(found)))),
        uapi::DELPOLICY => return policy_deleted(fields),
        uapi::POLEXPIRE => return policy_expired(fields),
        uapi::FLUSHPOLICY => return Ok(main(fields.attrs(0))?.then_some(Event::PolicyFlushed)),
        uapi::ACQUIRE => acquire(fields)?,
        uapi::MAPPING => mapping(fields)?,
        uapi::NEWAE => Event::SaProgressed(Box::new(rare::progress(fields)?)),
        uapi::MIGRATE => return rare::migration(fields),
        uapi::REPORT => rare::report(fields)?,
        uapi::GETDEFAULT => rare::default(fields)?,
        kind => Event::Unknown { kind },
    };
    Ok(Some(event))
}

/// `struct xfrm_user_expire`.
fn sa_expired(fields: Fields<'_>) -> Result<Event, DecodeError> {
    let attrs = fields.attrs(uapi::USER_EXPIRE_LEN);
    let detail = Expiry {
        src: fields.addr(80, fields.u16(212)?)?,
        reqid: fields.u32(208)?,
        if_id: number(attrs, uapi::IF_ID)?,
        dir: dir(attrs)?,
        bytes: fields.u64(160)?,
        packets: fields.u64(168)?,
    };
    let hard = fields.u8(uapi::USERSA_INFO_LEN)? != 0;
    Ok(Event::SaExpired { id: info_id(fields, attrs)?, hard, detail: Box::new(detail) })
}

/// `struct xfrm_userpolicy_id`; the policy itself is in `XFRMA_POLICY` (`xfrm_notify_policy`), and the structure
/// has the index only when the deletion was by index.
fn policy_deleted(fields: Fields<'_>) -> Result<Option<Event>, DecodeError> {
    let attrs = fields.attrs(uapi::USERPOLICY_ID_LEN);
    let whole = attrs.find(uapi::POLICY).ok_or(DecodeError::Missing(uapi::POLICY))?;
    let found = info(whole, attrs)?;
    Ok(found.map(|found| Event::PolicyDeleted { index: found.index, id: found.policy.id }))
}

/// `struct xfrm_user_polexpire`.
fn policy_expired(fields: Fields<'_>) -> Result<Option<Event>, DecodeError> {
    let hard = fields.u8(uapi::USERPOLICY_INFO_LEN)? != 0;
    let found = info(fields, fields.attrs(uapi::USER_POLEXPIRE_LEN))?;
    Ok(found.map(|found| Event::PolicyExpired { index: found.index, id: found.policy.id, hard }))
}

/// `struct xfrm_user_acquire`: its addresses are of the family of the policy's template, which comes as `XFRMA_TMPL`.
fn acquire(fields: Fields<'_>) -> Result<Event, DecodeError> {
    /// `sizeof(struct xfrm_user_acquire)`.
    const USER_ACQUIRE_LEN: usize = 280;
    let attrs = fields.attrs(USER_ACQUIRE_LEN);
    let templates = attrs.find(uapi::TMPL);
    // Without a template, as some kernels send it, the SA is of the packet's family.
    let family = templates.map_or_else(|| fields.u16(40 + 40), |template| template.u16(24))?;
    Ok(Event::Acquire(Box::new(Acquire {
        dst: fields.addr(0, family)?,
        src: fields.addr(24, family)?,
        proto: fields.u8(20)?,
        selector: selector(fields, 40, family)?,
        policy: fields.u32(96 + 156)?,
        templates: templates.map_or(Ok(Vec::new()), self::templates)?,
        mark: mark(attrs)?,
        if_id: number(attrs, uapi::IF_ID)?,
        seq: fields.u32(276)?,
    })))
}

/// `struct xfrm_user_mapping`.
fn mapping(fields: Fields<'_>) -> Result<Event, DecodeError> {
    let family = fields.u16(20)?;
    Ok(Event::Mapping {
        id: id(fields, fields.attrs(64))?,
        old: (fields.addr(28, family)?, fields.be16(60)?),
        new: (fields.addr(44, family)?, fields.be16(62)?),
    })
}
