//! `[[name]]`: a name for a tunnel that others install.

use super::tunnel::{RawNets, read_nets};
use crate::config::report::Located;
use crate::config::scalar;
use crate::config::section::Section;
use crate::stitch::Rule;

/// Reads one; `None` when something in it is wrong, which is reported.
pub(in crate::config) fn read(mut section: Section<'_>) -> Option<Rule> {
    section.require("tunnel");
    let at = section.at.clone();
    let report = section.report;
    let tunnel = section.text("tunnel", scalar::tunnel_name).map(|name| name.value);
    let rule = Rule {
        tunnel: tunnel.clone().unwrap_or_default(),
        reqid: scalar::located32(&mut section, "reqid", 1).map(|reqid| reqid.value),
        if_id: scalar::located32(&mut section, "if_id", 1).map(|if_id| if_id.value),
        local: section.text("local", scalar::host_addr).map(|addr| addr.value),
        remote: section.text("remote", scalar::host_addr).map(|addr| addr.value),
        local_nets: nets(read_nets(&mut section, "local_net")),
        remote_nets: nets(read_nets(&mut section, "remote_net")),
    };
    let told = ["reqid", "if_id", "remote"].iter().any(|key| section.has(key));
    if !told {
        report.error(&at, "does not say which SAs it names: set reqid, if_id or remote");
    }
    if let (Some(local), Some(remote)) = (rule.local, rule.remote)
        && local.is_ipv4() != remote.is_ipv4()
    {
        report.error(&section.place("remote"), "is not of the family of `local`");
    }
    section.finish();
    tunnel.filter(|_| told).map(|_| rule)
}

fn nets(raw: Option<RawNets>) -> Vec<(std::net::IpAddr, u8)> {
    let nets = raw.into_iter().flat_map(|raw| raw.nets);
    nets.map(|Located { value, .. }| (value.addr, value.len)).collect()
}
