//! Messages that IKE daemons with mobility or failover cause.

use super::Event;
use crate::nl::fields::{DecodeError, Fields};
use crate::xfrm::decode::sa::{id, sequence};
use crate::xfrm::decode::shared::{mode, selector};
use crate::xfrm::model::{Mode, PolicyAction, SaId, SaStart, Selector};
use crate::xfrm::uapi;
use std::net::IpAddr;

/// What comes with [`Event::SaProgressed`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaProgress {
    /// Identity.
    pub id: SaId,
    /// Source.
    pub src: IpAddr,
    /// Request id.
    pub reqid: u32,
    /// Sequence numbers.
    pub now: SaStart,
    /// Bytes that it has transformed.
    pub bytes: u64,
    /// Packets that it has transformed.
    pub packets: u64,
}

/// What comes with [`Event::Migrated`]: one change of outer addresses, the first if there are several.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Migration {
    /// Selector of the policy.
    pub selector: Selector,
    /// Old source and destination.
    pub old: (IpAddr, IpAddr),
    /// New source and destination.
    pub new: (IpAddr, IpAddr),
    /// Protocol of the SAs.
    pub proto: u8,
    /// Their mode.
    pub mode: Mode,
    /// Their request id.
    pub reqid: u32,
}

/// `struct xfrm_aevent_id`.
pub(super) fn progress(fields: Fields<'_>) -> Result<SaProgress, DecodeError> {
    /// `sizeof(struct xfrm_aevent_id)`.
    const AEVENT_ID_LEN: usize = 48;
    let attrs = fields.attrs(AEVENT_ID_LEN);
    let reqid = fields.u32(44)?;
    let lifetime = attrs.find(uapi::LTIME_VAL);
    let of = |at| lifetime.map_or(Ok(0), |lifetime| lifetime.u64(at));
    Ok(SaProgress {
        id: id(fields, attrs)?,
        src: fields.addr(24, fields.u16(20)?)?,
        reqid,
        now: sequence(attrs)?,
        bytes: of(0)?,
        packets: of(8)?,
    })
}

/// `struct xfrm_userpolicy_id` and `XFRMA_MIGRATE`.
pub(super) fn migration(fields: Fields<'_>) -> Result<Option<Event>, DecodeError> {
    let attrs = fields.attrs(uapi::USERPOLICY_ID_LEN);
    let found = attrs.find(uapi::MIGRATE_ATTR).ok_or(DecodeError::Missing(uapi::MIGRATE_ATTR))?;
    let (old, new) = (found.u16(72)?, found.u16(74)?);
    Ok(Some(Event::Migrated(Box::new(Migration {
        selector: selector(fields, 0, old)?,
        old: (found.addr(16, old)?, found.addr(0, old)?),
        new: (found.addr(48, new)?, found.addr(32, new)?),
        proto: found.u8(64)?,
        mode: mode(found.u8(65)?),
        reqid: found.u32(68)?,
    }))))
}

/// `struct xfrm_user_report`.
pub(super) fn report(fields: Fields<'_>) -> Result<Event, DecodeError> {
    let family = u16::try_from(libc::AF_INET6).unwrap_or_default();
    Ok(Event::Reported { proto: fields.u8(0)?, selector: selector(fields, 4, family)? })
}

/// `struct xfrm_userpolicy_default`: in, fwd, out; 1 blocks, 2 accepts.
pub(super) fn default(fields: Fields<'_>) -> Result<Event, DecodeError> {
    let action = |at| match fields.u8(at)? {
        1 => Ok(PolicyAction::Block),
        2 => Ok(PolicyAction::Allow),
        value => Err(DecodeError::Range { what: "default policy", value }),
    };
    Ok(Event::PolicyDefault { inbound: action(0)?, forward: action(1)?, out: action(2)? })
}
