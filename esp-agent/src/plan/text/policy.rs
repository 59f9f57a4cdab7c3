//! A policy in one line.

use super::{mode_name, proto_name, write_if_id, write_limits, write_mark, write_offload, write_selector};
use crate::xfrm::model::{DefaultPolicy, Policy, PolicyAction, PolicyDir, PolicyId, Template};
use std::fmt;

/// The identity of a policy.
pub struct PolicyName<'a>(pub &'a PolicyId);

impl fmt::Display for PolicyName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PolicyId { selector, dir, mark, if_id } = self.0;
        write!(f, "{} ", dir_name(*dir))?;
        write_selector(f, selector)?;
        write_mark(f, *mark)?;
        write_if_id(f, *if_id)
    }
}

/// A default policy, as `ip xfrm policy setdefault` takes it.
pub struct DefaultText(pub DefaultPolicy);

impl fmt::Display for DefaultText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |action| match action {
            PolicyAction::Allow => "accept",
            PolicyAction::Block => "block",
        };
        let DefaultPolicy { inbound, forward, outbound } = self.0;
        write!(f, "in {} fwd {} out {}", word(inbound), word(forward), word(outbound))
    }
}

/// The word of `ip xfrm policy`.
pub(in crate::plan) const fn dir_name(dir: PolicyDir) -> &'static str {
    match dir {
        PolicyDir::In => "in",
        PolicyDir::Out => "out",
        PolicyDir::Fwd => "fwd",
    }
}

/// All of a policy but its identity.
pub struct PolicyBody<'a>(pub &'a Policy);

impl fmt::Display for PolicyBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.0;
        write!(f, "prio {}", policy.priority)?;
        match policy.action {
            PolicyAction::Allow => {}
            PolicyAction::Block => write!(f, " block")?,
        }
        if policy.flags != 0 {
            write!(f, " flags {:#x}", policy.flags)?;
        }
        policy.templates.iter().try_for_each(|template| write_template(f, template))?;
        write_limits(f, &policy.limits)?;
        write_offload(f, policy.offload.as_ref())
    }
}

fn write_template(f: &mut fmt::Formatter<'_>, template: &Template) -> fmt::Result {
    let Template { src, dst, spi, proto, mode, reqid, optional } = template;
    write!(f, " tmpl {src} -> {dst} {}", proto_name(*proto))?;
    if !spi.is_zero() {
        write!(f, " spi {spi}")?;
    }
    write!(f, " {} reqid {reqid:#x}", mode_name(*mode))?;
    if *optional { write!(f, " level use") } else { Ok(()) }
}
