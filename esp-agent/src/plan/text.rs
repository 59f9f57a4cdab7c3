//! A plan as people read it: one line for each step, `+` adds, `-` deletes, `~` changes.

mod policy;
mod sa;

pub(super) use policy::dir_name;
pub use policy::{DefaultText, PolicyBody, PolicyName};
pub use sa::{SaLine, SaName, suite_text};

use super::{PartStep, Plan, PolicyStep, SaStep, Step};
use crate::xfrm::interface::{Part, XfrmLink};
use crate::xfrm::model::{Limits, Mark, Mode, Offload, Port, Selector};
use std::fmt;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            writeln!(f, "plan: nothing to do")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for note in &self.notes {
            writeln!(f, "# {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddSa(SaStep { sa, label }) => write!(f, "+ sa  {}", SaLine(sa, label.as_deref())),
            Self::DeleteSa(SaStep { sa, label }) => write!(f, "- sa  {}", SaLine(sa, label.as_deref())),
            Self::AddPolicy(step) => write!(f, "+ {step}"),
            Self::DeletePolicy(step) => write!(f, "- {step}"),
            Self::UpdatePolicy { old, new } => write!(f, "~ {new}\n    was {}", PolicyBody(old)),
            Self::AddPart(step) => write!(f, "+ {step}"),
            Self::DeletePart(step) => write!(f, "- {step}"),
            Self::UpdateLink { old, was_up, new, label } => {
                let step = PartStep::of(new, label.as_ref());
                write!(f, "~ {step}\n    was mtu {} {}", old.mtu, if *was_up { "up" } else { "down" })
            }
            Self::SetDefault { old, new } => {
                write!(f, "~ default policy {}\n    was {}", DefaultText(*new), DefaultText(*old))
            }
        }
    }
}

impl fmt::Display for PolicyStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {} {}", PolicyName(&self.policy.id), PolicyBody(&self.policy))?;
        self.label.as_ref().map_or(Ok(()), |label| write!(f, "  ({label})"))
    }
}

impl fmt::Display for PartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.part.id();
        write!(f, "{} {id}", id.kind())?;
        if let Part::Link(XfrmLink { if_id, mtu, .. }) = &self.part {
            write!(f, " type xfrm if_id {if_id:#x} mtu {mtu}")?;
        }
        write!(f, "{}", Label(self.label.as_deref()))
    }
}

/// ` (name)`, or nothing.
pub struct Label<'a>(pub Option<&'a str>);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// The words of `ip xfrm` for protocols of XFRM, else the number.
pub(crate) fn proto_name(proto: u8) -> String {
    match proto {
        50 => "esp".into(),
        51 => "ah".into(),
        108 => "comp".into(),
        other => format!("proto {other}"),
    }
}

pub(crate) fn mode_name(mode: Mode) -> String {
    match mode {
        Mode::Transport => "transport".into(),
        Mode::Tunnel => "tunnel".into(),
        Mode::Beet => "beet".into(),
        Mode::Other(number) => format!("mode {number}"),
    }
}

fn write_mark(f: &mut fmt::Formatter<'_>, mark: Mark) -> fmt::Result {
    if mark == Mark::default() {
        return Ok(());
    }
    write!(f, " mark {:#x}/{:#x}", mark.value, mark.mask)
}

fn write_if_id(f: &mut fmt::Formatter<'_>, if_id: u32) -> fmt::Result {
    if if_id == 0 {
        return Ok(());
    }
    write!(f, " if_id {if_id:#x}")
}

/// A selector in the words of a plan.
pub struct SelectorText<'a>(pub &'a Selector);

impl fmt::Display for SelectorText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_selector(f, self.0)
    }
}

fn write_selector(f: &mut fmt::Formatter<'_>, selector: &Selector) -> fmt::Result {
    let Selector { src, dst, proto, sport, dport, ifindex } = selector;
    write!(f, "{}/{} -> {}/{}", src.addr, src.len, dst.addr, dst.len)?;
    if *proto != 0 {
        write!(f, " proto {proto}")?;
    }
    write_port(f, "sport", *sport)?;
    write_port(f, "dport", *dport)?;
    if *ifindex != 0 {
        write!(f, " ifindex {ifindex}")?;
    }
    Ok(())
}

fn write_port(f: &mut fmt::Formatter<'_>, name: &str, port: Port) -> fmt::Result {
    match port.mask {
        0 => Ok(()),
        u16::MAX => write!(f, " {name} {}", port.port),
        mask => write!(f, " {name} {}/{mask:#x}", port.port),
    }
}

fn write_limits(f: &mut fmt::Formatter<'_>, limits: &Limits) -> fmt::Result {
    let parts = [
        ("soft-bytes", limits.soft_bytes),
        ("hard-bytes", limits.hard_bytes),
        ("soft-packets", limits.soft_packets),
        ("hard-packets", limits.hard_packets),
        ("soft-add-seconds", limits.soft_add_s),
        ("hard-add-seconds", limits.hard_add_s),
        ("soft-use-seconds", limits.soft_use_s),
        ("hard-use-seconds", limits.hard_use_s),
    ];
    parts.iter().try_for_each(|(name, limit)| limit.map_or(Ok(()), |limit| write!(f, " {name} {limit}")))
}

fn write_offload(f: &mut fmt::Formatter<'_>, offload: Option<&Offload>) -> fmt::Result {
    let Some(Offload { ifindex, packet, inbound }) = offload else { return Ok(()) };
    let kind = if *packet { "packet" } else { "crypto" };
    let side = if *inbound { "in" } else { "out" };
    write!(f, " offload {kind} ifindex {ifindex} {side}")
}
