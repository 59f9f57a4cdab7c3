//! Rules of one `[[tunnel]]`.

use super::interface::{self, Owner};
use super::{check_ends, lint_replay, lint_transform};
use crate::config::derive::{self, Ends, TunnelShape};
use crate::config::lint::{Lint, LintCode};
use crate::config::raw::tunnel::{RawDirection, RawNets, RawTunnel};
use crate::config::report::{At, Located, Report};
use crate::config::valid::Tunnel;
use crate::xfrm::model::{Encap, Mode, Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A checked tunnel with the places that rules between tunnels point at.
pub(in crate::config) struct PlacedTunnel {
    pub(in crate::config) tunnel: Tunnel,
    pub(in crate::config) at: At,
    pub(in crate::config) name_at: At,
    pub(in crate::config) reqid_at: At,
    pub(in crate::config) nets_at: At,
    /// Of the SAs, in their order.
    pub(in crate::config) spi_at: [At; 2],
    /// The operator decided the order of overlapping policies.
    pub(in crate::config) has_priority: bool,
}

/// Checks a tunnel and derives its SAs and policies; `None` when that makes no sense.
pub(in crate::config) fn check(raw: RawTunnel, report: &Report) -> Option<PlacedTunnel> {
    lint_transform(report, &raw.transform_at, raw.transform);
    lint_replay(report, &raw.replay);
    let networks = networks(&raw, report);
    if let (Some(inbound), Some(outbound)) = (&raw.inbound, &raw.outbound) {
        lint_directions(report, inbound, outbound);
    }
    let ends = match (&raw.local, &raw.remote) {
        (Some(local), Some(remote)) => {
            check_ends(report, local, remote).then_some(Ends { local: local.value, remote: remote.value })
        }
        _ => None,
    };
    build(raw, ends?, networks?, report)
}

fn build(raw: RawTunnel, ends: Ends, networks: Vec<(Net, Net)>, report: &Report) -> Option<PlacedTunnel> {
    let (name, inbound, outbound) = (raw.name?, raw.inbound?, raw.outbound?);
    let reqid = raw.reqid.as_ref().map_or_else(|| derive::reqid(&name.value), |reqid| reqid.value);
    let if_id = match (raw.if_id, &raw.interface) {
        (0, Some(_)) => derive::if_id(&name.value),
        (if_id, _) => if_id,
    };
    let encap =
        |near: u16, far: u16| Encap { kind: derive::ESP_IN_UDP, sport: near, dport: far, original: None };
    let shape = TunnelShape {
        name: name.value,
        mode: raw.mode?,
        ends,
        networks,
        protocol: raw.protocol.as_ref().map_or(0, |protocol| protocol.value),
        reqid,
        if_id,
        priority: raw.priority,
        forward: raw.forward.as_ref().is_none_or(|forward| forward.value),
        replay_window: raw.replay.window,
        esn: raw.replay.esn,
        encap_out: raw.encap.as_ref().map(|ports| encap(ports.near, ports.far)),
        encap_in: raw.encap.as_ref().map(|ports| encap(ports.far, ports.near)),
    };
    let spi_in = inbound.spi?;
    let spi_out = outbound.spi?;
    let mut tunnel = shape.derive((spi_in.value, inbound.protection?), (spi_out.value, outbound.protection?));
    tunnel.keepalive = raw.encap.as_ref().and_then(|encap| encap.keepalive);
    if let Some(interface) = &raw.interface {
        let owner = Owner {
            tunnel: &tunnel.name,
            if_id: tunnel.if_id,
            remote: tunnel.remote,
            outbound: tunnel.sas.last(),
            remote_nets: raw.remote_nets.iter().flat_map(|nets| &nets.nets).map(|net| net.value).collect(),
        };
        tunnel.parts = interface::parts(interface, &owner, report);
    }
    Some(PlacedTunnel {
        tunnel,
        reqid_at: raw.reqid.map_or_else(|| name.at.clone(), |reqid| reqid.at),
        nets_at: raw.remote_nets.map_or_else(|| raw.at.clone(), |nets| nets.at),
        at: raw.at,
        name_at: name.at,
        spi_at: [spi_in.at, spi_out.at],
        has_priority: raw.priority.is_some(),
    })
}

/// Pairs of protected networks, ours first.
fn networks(raw: &RawTunnel, report: &Report) -> Option<Vec<(Net, Net)>> {
    match raw.mode? {
        Mode::Transport => {
            let nets = [("local_net", &raw.local_nets), ("remote_net", &raw.remote_nets)];
            for (key, nets) in nets.iter().filter_map(|(key, nets)| nets.as_ref().map(|nets| (key, nets))) {
                report.error(
                    &nets.at,
                    format_args!(
                        "`{key}` has no meaning in transport mode: remove it, `protocol` narrows the policies"
                    ),
                );
            }
            if let Some(forward) = raw.forward.as_ref().filter(|forward| forward.value) {
                report.error(&forward.at, "transport mode protects this host only: nothing is forwarded");
            }
            if let Some(interface) = &raw.interface {
                report.error(&interface.name.at, "transport mode protects this host only: nothing is routed");
            }
            let host = |end: &Option<Located<IpAddr>>| end.as_ref().map(|end| derive::host(end.value));
            Some(vec![(host(&raw.local)?, host(&raw.remote)?)])
        }
        Mode::Tunnel => tunnel_networks(raw, report),
        Mode::Beet | Mode::Other(_) => None,
    }
}

fn tunnel_networks(raw: &RawTunnel, report: &Report) -> Option<Vec<(Net, Net)>> {
    // A route-based tunnel lets the routing table choose: all of both families.
    let any = || {
        let any = |addr: IpAddr| Net { addr, len: 0 };
        (raw.if_id != 0 || raw.interface.is_some())
            .then(|| vec![any(Ipv4Addr::UNSPECIFIED.into()), any(Ipv6Addr::UNSPECIFIED.into())])
    };
    let ours = side(report, &raw.at, "local_net", raw.local_nets.as_ref(), any());
    let theirs = side(report, &raw.at, "remote_net", raw.remote_nets.as_ref(), any());
    let (ours, theirs) = (ours?, theirs?);
    for (nets, others) in [(&raw.local_nets, &theirs), (&raw.remote_nets, &ours)] {
        for net in nets.iter().flat_map(|nets| &nets.nets) {
            if !others.iter().any(|other| same_family(*other, net.value)) {
                report.error(&net.at, "has no network of its family on the other side");
            }
        }
    }
    let pairs = ours.iter().flat_map(|our| theirs.iter().map(move |their| (*our, *their)));
    Some(pairs.filter(|(our, their)| same_family(*our, *their)).collect())
}

fn side(
    report: &Report,
    tunnel: &At,
    key: &str,
    typed: Option<&RawNets>,
    default: Option<Vec<Net>>,
) -> Option<Vec<Net>> {
    let Some(typed) = typed else {
        if default.is_none() {
            let at = At { path: format!("{}.{key}", tunnel.path), line: tunnel.line };
            report.error(&at, "missing: tunnel mode needs the networks of both sides");
        }
        return default;
    };
    typed_nets(report, typed)
}

/// The networks of one side; `default` unless some are named.
pub(super) fn side_or(report: &Report, typed: Option<&RawNets>, default: &[Net]) -> Option<Vec<Net>> {
    typed.map_or_else(|| Some(default.to_vec()), |typed| typed_nets(report, typed))
}

fn typed_nets(report: &Report, typed: &RawNets) -> Option<Vec<Net>> {
    let mut nets = Vec::new();
    for net in &typed.nets {
        if nets.contains(&net.value) {
            report.error(&net.at, "names a network twice");
        }
        nets.push(net.value);
    }
    typed.complete.then_some(nets)
}

pub(super) fn same_family(one: Net, two: Net) -> bool {
    one.addr.is_ipv4() == two.addr.is_ipv4()
}

fn lint_directions(report: &Report, inbound: &RawDirection, outbound: &RawDirection) {
    if let (Some(spi_in), Some(spi_out)) = (&inbound.spi, &outbound.spi)
        && spi_in.value == spi_out.value
    {
        report.lint(Lint::new(
            LintCode::SameSpi,
            &outbound.at,
            "both directions have the same SPI: Wireshark takes them for one stream",
            "give each direction its own random SPI, on both sides",
        ));
    }
    if let (Some(one), Some(two)) = (&inbound.protection, &outbound.protection)
        && one.shares_key(two)
    {
        report.lint(Lint::new(
            LintCode::SameKey,
            &outbound.at,
            "both directions have the same key: packets can be reflected, and counter modes share nonces",
            "give each direction its own random key",
        ));
    }
}
