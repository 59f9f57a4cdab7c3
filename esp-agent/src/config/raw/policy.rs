//! `[[policy]]` as it was typed.

use crate::config::report::{At, Located};
use crate::config::scalar;
use crate::config::section::Section;
use crate::xfrm::model::{Mark, Mode, Net, PolicyAction, PolicyDir, Port};
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
    pub(in crate::config) sport: Option<Located<Port>>,
    pub(in crate::config) dport: Option<Located<Port>>,
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
        let raw = Self {
            at: section.at.clone(),
            name: section.text("name", scalar::tunnel_name),
            dir: section.choice("dir", &dirs).map(|dir| dir.value),
            src: section.text("src", scalar::net),
            dst: section.text("dst", scalar::net),
            protocol: scalar::protocol(&mut section, "protocol").map_or(0, |protocol| protocol.value),
            sport: read_port(&mut section, "sport"),
            dport: read_port(&mut section, "dport"),
            action: section.choice("action", &actions).map_or(PolicyAction::Allow, |action| action.value),
            priority: scalar::number32(&mut section, "priority"),
            templates: section.tables("template").into_iter().map(RawTemplate::read).collect(),
            if_id: scalar::number32(&mut section, "if_id").unwrap_or_default(),
            mark: scalar::mark(&mut section),
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
            spi: scalar::template_spi(&mut section, "spi").map_or(Spi::new(0), |spi| spi.value),
            mode: scalar::mode(&mut section).map(|mode| mode.value),
            reqid: scalar::number32(&mut section, "reqid").unwrap_or_default(),
            optional: section
                .choice("level", &[("required", false), ("use", true)])
                .is_some_and(|use_| use_.value),
        };
        section.finish();
        raw
    }
}

/// A port, or an ICMP type or code.
fn read_port(section: &mut Section<'_>, key: &str) -> Option<Located<Port>> {
    let port = section.number(key, 0..=u64::from(u16::MAX))?;
    Some(port.map(|port| Port { port: u16::try_from(port).unwrap_or(0), mask: u16::MAX }))
}
