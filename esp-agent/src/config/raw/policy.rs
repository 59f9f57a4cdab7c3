//! `[[policy]]` as it was typed.

use super::lifetime;
use crate::config::report::{At, Located};
use crate::config::scalar;
use crate::config::section::Section;
use crate::xfrm::model::{Limits, Mark, Mode, Net, PolicyAction, PolicyDir, Port};
use esp_common::Spi;
use std::net::IpAddr;

/// One policy, the raw way.
pub(in crate::config) struct RawPolicy {
    pub(in crate::config) at: At,
    pub(in crate::config) name: Option<Located<String>>,
    pub(in crate::config) dir: Option<PolicyDir>,
    pub(in crate::config) src: Option<Located<Net>>,
    pub(in crate::config) dst: Option<Located<Net>>,
    pub(in crate::config) protocol: u8,
    /// Of the source, of the destination; or an ICMP type and code.
    pub(in crate::config) ports: [Port; 2],
    pub(in crate::config) device: Option<String>,
    pub(in crate::config) limits: Limits,
    pub(in crate::config) flags: u8,
    pub(in crate::config) action: PolicyAction,
    pub(in crate::config) priority: Option<u32>,
    pub(in crate::config) templates: Vec<RawTemplate>,
    pub(in crate::config) if_id: u32,
    pub(in crate::config) mark: Mark,
    pub(in crate::config) tunnel: Option<String>,
}

/// `[[policy.template]]`.
pub(in crate::config) struct RawTemplate {
    pub(in crate::config) at: At,
    pub(in crate::config) src: Option<Located<IpAddr>>,
    pub(in crate::config) dst: Option<Located<IpAddr>>,
    pub(in crate::config) proto: u8,
    pub(in crate::config) spi: Spi,
    pub(in crate::config) mode: Option<Mode>,
    pub(in crate::config) reqid: u32,
    pub(in crate::config) optional: bool,
}

impl RawPolicy {
    pub(in crate::config) fn read(mut section: Section<'_>) -> Self {
        for key in ["dir", "src", "dst"] {
            section.require(key);
        }
        let dirs = [("in", PolicyDir::In), ("out", PolicyDir::Out), ("fwd", PolicyDir::Fwd)];
        let actions = [("allow", PolicyAction::Allow), ("block", PolicyAction::Block)];
        let protocol = scalar::protocol(&mut section, "protocol").map_or(0, |protocol| protocol.value);
        let raw = Self {
            at: section.at.clone(),
            name: section.text("name", scalar::tunnel_name),
            dir: section.choice("dir", &dirs).map(|dir| dir.value),
            src: section.text("src", scalar::net),
            dst: section.text("dst", scalar::net),
            protocol,
            ports: scalar::ports(&mut section, protocol),
            device: section.text("interface", scalar::interface).map(|device| device.value),
            limits: lifetime::read(&mut section),
            flags: read_flags(&mut section),
            action: section.choice("action", &actions).map_or(PolicyAction::Allow, |action| action.value),
            priority: scalar::number32(&mut section, "priority"),
            templates: section.tables("template").into_iter().map(RawTemplate::read).collect(),
            if_id: scalar::number32(&mut section, "if_id").unwrap_or_default(),
            mark: scalar::mark(&mut section, "mark"),
            tunnel: section.text("tunnel", scalar::tunnel_name).map(|name| name.value),
        };
        section.finish();
        raw
    }
}

impl RawTemplate {
    fn read(mut section: Section<'_>) -> Self {
        section.require("mode");
        let raw = Self {
            at: section.at.clone(),
            src: section.text("src", scalar::host_addr),
            dst: section.text("dst", scalar::host_addr),
            proto: scalar::ipsec(&mut section).value,
            spi: scalar::template_spi(&mut section, "spi").map_or(Spi::new(0), |spi| spi.value),
            mode: scalar::any_mode(&mut section).map(|mode| mode.value),
            reqid: scalar::number32(&mut section, "reqid").unwrap_or_default(),
            optional: section
                .choice("level", &[("required", false), ("use", true)])
                .is_some_and(|use_| use_.value),
        };
        section.finish();
        raw
    }
}

/// `XFRM_POLICY_*`.
const FLAGS: [(&str, u8); 2] = [("localok", 1), ("icmp", 2)];

fn read_flags(section: &mut Section<'_>) -> u8 {
    let known = |text: &str| {
        let flag = FLAGS.iter().find(|(name, _)| *name == text).map(|(_, bit)| *bit);
        flag.ok_or_else(|| "must be one of localok, icmp".to_owned())
    };
    let flags = section.texts("flags", known).map(|list| list.value).unwrap_or_default();
    flags.into_iter().flatten().fold(0, |flags, flag| flags | flag.value)
}
