//! Structures that SAs and policies have in common. Offsets are from the start of the message's body.

use crate::nl::fields::{Attrs, DecodeError, Fields};
use crate::xfrm::model::{Limits, Mark, Mode, Net, Offload, Port, Selector};
use crate::xfrm::uapi;

/// `struct xfrm_selector` at `at`. A family of 0 selects any address; it is read as `fallback`.
pub(super) fn selector(fields: Fields<'_>, at: usize, fallback: u16) -> Result<Selector, DecodeError> {
    let family = match fields.u16(at + 40)? {
        0 => fallback,
        family => family,
    };
    Ok(Selector {
        dst: Net { addr: fields.addr(at, family)?, len: fields.u8(at + 42)? },
        src: Net { addr: fields.addr(at + 16, family)?, len: fields.u8(at + 43)? },
        dport: Port { port: fields.be16(at + 32)?, mask: fields.be16(at + 34)? },
        sport: Port { port: fields.be16(at + 36)?, mask: fields.be16(at + 38)? },
        proto: fields.u8(at + 44)?,
        ifindex: fields.u32(at + 48)?,
    })
}

/// `struct xfrm_lifetime_cfg` at `at`.
pub(super) fn limits(fields: Fields<'_>, at: usize) -> Result<Limits, DecodeError> {
    let count = |at| fields.u64(at).map(|limit| Some(limit).filter(|limit| *limit != uapi::INFINITE));
    let seconds = |at| count(at).map(|limit| limit.filter(|limit| *limit != 0));
    Ok(Limits {
        soft_bytes: count(at)?,
        hard_bytes: count(at + 8)?,
        soft_packets: count(at + 16)?,
        hard_packets: count(at + 24)?,
        soft_add_s: seconds(at + 32)?,
        hard_add_s: seconds(at + 40)?,
        soft_use_s: seconds(at + 48)?,
        hard_use_s: seconds(at + 56)?,
    })
}

/// `XFRMA_MARK`.
pub(super) fn mark(attrs: Attrs<'_>) -> Result<Mark, DecodeError> {
    attrs
        .find(uapi::MARK)
        .map_or(Ok(Mark::default()), |mark| Ok(Mark { value: mark.u32(0)?, mask: mark.u32(4)? }))
}

/// A u32 attribute, or 0.
pub(super) fn number(attrs: Attrs<'_>, kind: u16) -> Result<u32, DecodeError> {
    attrs.find(kind).map_or(Ok(0), |attr| attr.u32(0))
}

/// `XFRMA_OFFLOAD_DEV`.
pub(super) fn offload(attrs: Attrs<'_>) -> Result<Option<Offload>, DecodeError> {
    let Some(attr) = attrs.find(uapi::OFFLOAD_DEV) else { return Ok(None) };
    let flags = attr.u8(4)?;
    let (packet, inbound) = (flags & uapi::OFFLOAD_PACKET != 0, flags & uapi::OFFLOAD_INBOUND != 0);
    Ok(Some(Offload { ifindex: attr.u32(0)?, packet, inbound }))
}

/// `XFRM_MODE_*`.
pub(super) const fn mode(number: u8) -> Mode {
    match number {
        0 => Mode::Transport,
        1 => Mode::Tunnel,
        4 => Mode::Beet,
        number => Mode::Other(number),
    }
}
