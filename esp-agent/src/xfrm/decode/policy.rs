//! `struct xfrm_userpolicy_info` and its attributes.

use super::shared::{limits, mark, mode, number, offload, selector};
use crate::nl::fields::{Attrs, DecodeError, Fields};
use crate::xfrm::model::{
    DefaultPolicy, ObservedPolicy, Policy, PolicyAction, PolicyDir, PolicyId, Template,
};
use crate::xfrm::uapi;
use esp_common::Spi;

/// The body of `XFRM_MSG_NEWPOLICY` or `XFRM_MSG_UPDPOLICY`; `None` for what the model leaves out: policies of
/// a single socket, and those of type sub.
///
/// # Errors
/// A short structure or attribute, an address family that is not IP, a direction or action out of range.
pub fn policy(body: &[u8]) -> Result<Option<ObservedPolicy>, DecodeError> {
    let fields = Fields::new(body);
    info(fields, fields.attrs(uapi::USERPOLICY_INFO_LEN))
}

/// The body of `XFRM_MSG_GETDEFAULT`.
///
/// # Errors
/// A short structure, an action out of range.
pub fn default_policy(body: &[u8]) -> Result<DefaultPolicy, DecodeError> {
    let fields = Fields::new(body);
    let action = |at| match fields.u8(at)? {
        1 => Ok(PolicyAction::Block),
        2 => Ok(PolicyAction::Allow),
        value => Err(DecodeError::Range { what: "default policy", value }),
    };
    Ok(DefaultPolicy { inbound: action(0)?, forward: action(1)?, outbound: action(2)? })
}

/// `struct xfrm_userpolicy_info` in `fields`, wherever it was, with the attributes beside it.
pub(super) fn info(fields: Fields<'_>, attrs: Attrs<'_>) -> Result<Option<ObservedPolicy>, DecodeError> {
    let index = fields.u32(156)?;
    if per_socket(index) || !main(attrs)? {
        return Ok(None);
    }
    let id = PolicyId {
        selector: selector(fields, 0, 0)?,
        dir: direction(fields.u8(160)?)?,
        mark: mark(attrs)?,
        if_id: number(attrs, uapi::IF_ID)?,
    };
    let policy = Policy {
        id,
        priority: fields.u32(152)?,
        action: action(fields.u8(161)?)?,
        flags: fields.u8(162)?,
        templates: attrs.find(uapi::TMPL).map_or(Ok(Vec::new()), templates)?,
        limits: limits(fields, 56)?,
        offload: offload(attrs)?,
    };
    Ok(Some(ObservedPolicy { policy, index, added_s: fields.u64(136)?, used_s: fields.u64(144)? }))
}

/// The low three bits are the direction, plus 3 for a socket's own policy (`xfrm_gen_index`).
const fn per_socket(index: u32) -> bool {
    index & 7 >= 3
}

/// True for `XFRM_POLICY_TYPE_MAIN`.
pub(super) fn main(attrs: Attrs<'_>) -> Result<bool, DecodeError> {
    attrs.find(uapi::POLICY_TYPE).map_or(Ok(true), |attr| Ok(attr.u8(0)? == 0))
}

/// `XFRM_POLICY_IN`, `_OUT`, `_FWD`.
const fn direction(value: u8) -> Result<PolicyDir, DecodeError> {
    match value {
        0 => Ok(PolicyDir::In),
        1 => Ok(PolicyDir::Out),
        2 => Ok(PolicyDir::Fwd),
        value => Err(DecodeError::Range { what: "policy direction", value }),
    }
}

const fn action(value: u8) -> Result<PolicyAction, DecodeError> {
    match value {
        0 => Ok(PolicyAction::Allow),
        1 => Ok(PolicyAction::Block),
        value => Err(DecodeError::Range { what: "policy action", value }),
    }
}

/// Array of `struct xfrm_user_tmpl`.
pub(super) fn templates(attr: Fields<'_>) -> Result<Vec<Template>, DecodeError> {
    attr.rest().chunks(uapi::USER_TMPL_LEN).map(|bytes| template(Fields::new(bytes))).collect()
}

fn template(fields: Fields<'_>) -> Result<Template, DecodeError> {
    let family = fields.u16(24)?;
    Ok(Template {
        dst: fields.addr(0, family)?,
        spi: Spi::from_wire(fields.array(16)?),
        proto: fields.u8(20)?,
        src: fields.addr(28, family)?,
        reqid: fields.u32(44)?,
        mode: mode(fields.u8(48)?),
        optional: fields.u8(50)? != 0,
    })
}
