//! The multicast messages of XFRM.

use super::policy::{info, main};
use super::sa::{id, info_id};
use super::{policy, sa};
use crate::nl::fields::{DecodeError, Fields};
use crate::nl::frame::Frame;
use crate::xfrm::model::{ObservedPolicy, ObservedSa, PolicyId, SaId};
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
    },
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
    /// `XFRM_MSG_ACQUIRE`: a packet needs an SA that is not there.
    Acquire {
        /// Source of the SA.
        src: IpAddr,
        /// Destination of the SA.
        dst: IpAddr,
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
    /// The kernel dropped messages (`ENOBUFS`): read everything again.
    Overrun,
    /// A message that cannot be read, by its kind: read everything again.
    Unreadable {
        /// `nlmsg_type`, or 0 when not even the header can be read.
        kind: u16,
    },
}

/// One message. `None` for kinds and policies that the model leaves out; what cannot be read is
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
        _ => return Ok(None),
    };
    Ok(Some(event))
}

/// `struct xfrm_user_expire`.
fn sa_expired(fields: Fields<'_>) -> Result<Event, DecodeError> {
    let id = info_id(fields, fields.attrs(uapi::USER_EXPIRE_LEN))?;
    Ok(Event::SaExpired { id, hard: fields.u8(uapi::USERSA_INFO_LEN)? != 0 })
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
    let family = acquire_family(fields)?;
    Ok(Event::Acquire { dst: fields.addr(0, family)?, src: fields.addr(24, family)? })
}

fn acquire_family(fields: Fields<'_>) -> Result<u16, DecodeError> {
    /// `sizeof(struct xfrm_user_acquire)`.
    const USER_ACQUIRE_LEN: usize = 280;
    let template = fields.attrs(USER_ACQUIRE_LEN).find(uapi::TMPL);
    // Without a template, as some kernels send it, the SA is of the packet's family.
    template.map_or_else(|| fields.u16(40 + 40), |template| template.u16(24))
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
