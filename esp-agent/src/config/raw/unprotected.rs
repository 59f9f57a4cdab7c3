//! `[[bypass]]` and `[[discard]]` as they were typed.

use super::tunnel::{RawNets, read_nets};
use crate::config::report::{At, Located};
use crate::config::scalar;
use crate::config::section::Section;
use crate::xfrm::model::{PolicyAction, PolicyDir, Port};

/// Traffic beside the tunnels: BYPASS or DISCARD of RFC 4301 section 4.4.1.
pub(in crate::config) struct RawUnprotected {
    pub(in crate::config) at: At,
    pub(in crate::config) action: PolicyAction,
    pub(in crate::config) name: Option<Located<String>>,
    pub(in crate::config) local_nets: Option<RawNets>,
    pub(in crate::config) remote_nets: Option<RawNets>,
    pub(in crate::config) protocol: u8,
    /// Ours, then theirs; or an ICMP type and code.
    pub(in crate::config) ports: [Port; 2],
    pub(in crate::config) dirs: &'static [PolicyDir],
    /// Where it leaves or comes in.
    pub(in crate::config) device: Option<String>,
    pub(in crate::config) priority: Option<u32>,
}

/// `direction`: what we send, what we receive or forward, both.
const DIRECTIONS: [(&str, &[PolicyDir]); 3] = [
    ("both", &[PolicyDir::Out, PolicyDir::In, PolicyDir::Fwd]),
    ("out", &[PolicyDir::Out]),
    ("in", &[PolicyDir::In, PolicyDir::Fwd]),
];

impl RawUnprotected {
    pub(in crate::config) fn read(mut section: Section<'_>, action: PolicyAction) -> Self {
        let [(_, both), ..] = DIRECTIONS;
        let protocol = scalar::protocol(&mut section, "protocol").map_or(0, |protocol| protocol.value);
        let raw = Self {
            at: section.at.clone(),
            action,
            name: section.text("name", scalar::tunnel_name),
            local_nets: read_nets(&mut section, "local_net"),
            remote_nets: read_nets(&mut section, "remote_net"),
            protocol,
            ports: scalar::ports_named(&mut section, protocol, ["local_port", "remote_port"]),
            dirs: section.choice("direction", &DIRECTIONS).map_or(both, |dirs| dirs.value),
            device: section.text("interface", scalar::interface).map(|device| device.value),
            priority: scalar::number32(&mut section, "priority"),
        };
        section.finish();
        raw
    }
}
