//! Structures that SAs and policies have in common.

use super::EncodeError;
use crate::nl::message::{Message, family};
use crate::xfrm::model::{Limits, Mark, Mode, Offload, Selector};
use crate::xfrm::uapi;
use std::net::IpAddr;

/// `struct xfrm_selector`; the family must be that of both networks.
pub(super) fn selector(message: &mut Message, selector: &Selector) -> Result<(), EncodeError> {
    let family = one_family(selector.src.addr, selector.dst.addr)?;
    message.addr(selector.dst.addr).addr(selector.src.addr);
    message.be16(selector.dport.port).be16(selector.dport.mask);
    message.be16(selector.sport.port).be16(selector.sport.mask);
    message.u16(family).u8(selector.dst.len).u8(selector.src.len).u8(selector.proto).zeros(3);
    message.u32(selector.ifindex).u32(0);
    Ok(())
}

/// The family of two addresses that must share it.
pub(super) fn one_family(a: IpAddr, b: IpAddr) -> Result<u16, EncodeError> {
    (family(a) == family(b)).then_some(family(a)).ok_or(EncodeError::MixedFamilies)
}

/// `struct xfrm_lifetime_cfg`. Seconds know no `XFRM_INF`: the kernel takes 0 for no limit.
pub(super) fn limits(message: &mut Message, limits: &Limits) {
    for count in [limits.soft_bytes, limits.hard_bytes, limits.soft_packets, limits.hard_packets] {
        message.u64(count.unwrap_or(uapi::INFINITE));
    }
    for seconds in [limits.soft_add_s, limits.hard_add_s, limits.soft_use_s, limits.hard_use_s] {
        message.u64(seconds.unwrap_or(0));
    }
}

/// `XFRMA_MARK`, when there is one.
pub(super) fn mark(message: &mut Message, mark: Mark) {
    if mark != Mark::default() {
        message.attr(uapi::MARK, |attr| {
            attr.u32(mark.value).u32(mark.mask);
        });
    }
}

/// `XFRMA_IF_ID`, when there is one.
pub(super) fn if_id(message: &mut Message, if_id: u32) {
    if if_id != 0 {
        message.attr32(uapi::IF_ID, if_id);
    }
}

/// `XFRMA_OFFLOAD_DEV`, when there is one.
pub(super) fn offload(message: &mut Message, offload: Option<Offload>) {
    let Some(offload) = offload else { return };
    let inbound = if offload.inbound { uapi::OFFLOAD_INBOUND } else { 0 };
    let packet = if offload.packet { uapi::OFFLOAD_PACKET } else { 0 };
    message.attr(uapi::OFFLOAD_DEV, |attr| {
        attr.u32(offload.ifindex).u8(inbound | packet).zeros(3);
    });
}

/// `XFRM_MODE_*`.
pub(super) const fn mode(mode: Mode) -> u8 {
    match mode {
        Mode::Transport => 0,
        Mode::Tunnel => 1,
        Mode::Beet => 4,
        Mode::Other(number) => number,
    }
}
