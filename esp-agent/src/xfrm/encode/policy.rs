//! `XFRM_MSG_NEWPOLICY`, `XFRM_MSG_UPDPOLICY`, `XFRM_MSG_DELPOLICY`, and those of the default policy.

use super::EncodeError;
use super::shared::{if_id, limits, mark, mode, offload, one_family, selector};
use crate::nl::frame::HEADER;
use crate::nl::message::{ACK, Message, REQUEST};
use crate::xfrm::model::{
    DefaultPolicy, Limits, Mark, Net, Policy, PolicyAction, PolicyDir, PolicyId, Selector, Template,
};
use crate::xfrm::uapi;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zeroize::Zeroizing;

/// The message that adds `policy`.
///
/// # Errors
/// Mixed address families, more than six templates.
pub fn new_policy(policy: &Policy) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    whole(uapi::NEWPOLICY, policy)
}

/// The message that adds `policy` or replaces the one with its id.
///
/// # Errors
/// Mixed address families, more than six templates.
pub fn update_policy(policy: &Policy) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    whole(uapi::UPDPOLICY, policy)
}

/// The message that deletes the policy with `id`.
///
/// # Errors
/// Mixed address families.
pub fn delete_policy(id: &PolicyId) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    let mut message = Message::new(uapi::DELPOLICY, REQUEST | ACK);
    selector(&mut message, &id.selector)?;
    // Index 0: the kernel looks for the selector.
    message.u32(0).u8(direction(id.dir)).zeros(3);
    mark(&mut message, id.mark);
    if_id(&mut message, id.if_id);
    Ok(message.finish())
}

/// The message that asks for the default policy.
#[must_use]
pub fn get_default() -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(uapi::GETDEFAULT, REQUEST | ACK);
    // struct xfrm_userpolicy_default, which the kernel wants there and does not read.
    message.zeros(3);
    message.finish()
}

/// The message that sets the default policy.
#[must_use]
pub fn set_default(policy: DefaultPolicy) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(uapi::SETDEFAULT, REQUEST | ACK);
    for action in [policy.inbound, policy.forward, policy.outbound] {
        // XFRM_USERPOLICY_ACCEPT and _BLOCK.
        message.u8(match action {
            PolicyAction::Allow => 2,
            PolicyAction::Block => 1,
        });
    }
    message.finish()
}

fn whole(kind: u16, policy: &Policy) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    if policy.templates.len() > uapi::MAX_DEPTH {
        return Err(EncodeError::Templates(policy.templates.len()));
    }
    let mut message = Message::new(kind, REQUEST | ACK);
    info(&mut message, policy)?;
    if !policy.templates.is_empty() {
        let mut written = Ok(());
        message.attr(uapi::TMPL, |attr| {
            written = policy.templates.iter().try_for_each(|each| template(attr, each));
        });
        written?;
    }
    mark(&mut message, policy.id.mark);
    if_id(&mut message, policy.id.if_id);
    offload(&mut message, policy.offload);
    Ok(message.finish())
}

/// A `struct xfrm_userpolicy_info` as a socket takes it.
pub type PolicyInfo = [u8; POLICY_INFO];
/// Its size (include/uapi/linux/xfrm.h).
const POLICY_INFO: usize = 168;

/// Lets all packets of a socket pass in one direction, whatever other policies say (`xfrm_user_policy`).
#[must_use]
pub fn socket_bypass(dir: PolicyDir, ipv4: bool) -> PolicyInfo {
    let any: IpAddr = if ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let any = Net { addr: any, len: 0 };
    let policy = Policy {
        id: PolicyId { selector: Selector::between(any, any), dir, mark: Mark::default(), if_id: 0 },
        priority: 0,
        action: PolicyAction::Allow,
        flags: 0,
        templates: Vec::new(),
        limits: Limits::default(),
        offload: None,
    };
    let mut message = Message::new(0, 0);
    let written = info(&mut message, &policy);
    debug_assert!(written.is_ok(), "one family on both sides");
    let bytes = message.finish();
    let mut out = [0; POLICY_INFO];
    out.iter_mut().zip(bytes.iter().skip(HEADER)).for_each(|(out, byte)| *out = *byte);
    out
}

/// `struct xfrm_userpolicy_info`; current lifetime and index are the kernel's.
fn info(message: &mut Message, policy: &Policy) -> Result<(), EncodeError> {
    selector(message, &policy.id.selector)?;
    limits(message, &policy.limits);
    message.zeros(32).u32(policy.priority).u32(0);
    let action = match policy.action {
        PolicyAction::Allow => 0,
        PolicyAction::Block => 1,
    };
    message.u8(direction(policy.id.dir)).u8(action).u8(policy.flags).zeros(5);
    Ok(())
}

/// `struct xfrm_user_tmpl`; all algorithms are accepted, as the SA decides about them.
fn template(attr: &mut Message, template: &Template) -> Result<(), EncodeError> {
    let family = one_family(template.src, template.dst)?;
    attr.addr(template.dst).bytes(&template.spi.wire()).u8(template.proto).zeros(3);
    attr.u16(family).zeros(2).addr(template.src).u32(template.reqid);
    attr.u8(mode(template.mode)).u8(0).u8(u8::from(template.optional)).zeros(1);
    attr.u32(u32::MAX).u32(u32::MAX).u32(u32::MAX);
    Ok(())
}

const fn direction(dir: PolicyDir) -> u8 {
    match dir {
        PolicyDir::In => 0,
        PolicyDir::Out => 1,
        PolicyDir::Fwd => 2,
    }
}
