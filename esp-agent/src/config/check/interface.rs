//! Rules of the XFRM interface of a tunnel, and what is made of it.

use crate::config::desired::{KeyedSa, NamedPart};
use crate::config::lint::{Lint, LintCode};
use crate::config::raw::interface::RawInterface;
use crate::config::report::{At, Located, Report};
use crate::mtu;
use crate::xfrm::interface::{Part, XfrmLink};
use crate::xfrm::model::Net;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What IPv6 needs (RFC 8200 section 5): Linux takes its addresses from an interface with less.
const IPV6_MTU: u32 = 1280;
/// `IP6_RT_PRIO_USER`: what the kernel makes of a metric of 0.
const IPV6_METRIC: u32 = 1024;

/// What the interface belongs to.
pub(super) struct Owner<'a> {
    pub(super) tunnel: &'a str,
    pub(super) if_id: u32,
    pub(super) remote: IpAddr,
    pub(super) outbound: Option<&'a KeyedSa>,
    /// Networks of the other side, if they were named.
    pub(super) remote_nets: Vec<Net>,
}

/// The interface, then its addresses, then its routes.
pub(super) fn parts(raw: &RawInterface, owner: &Owner<'_>, report: &Report) -> Vec<NamedPart> {
    let link = || raw.name.value.clone();
    let routes = routes(raw, owner, report);
    check_addresses(raw, report);
    let mut parts = Vec::new();
    if let Some(mtu) = mtu(raw, owner, &routes, report) {
        parts.push(Part::Link(XfrmLink { name: link(), if_id: owner.if_id, mtu }));
    }
    let addresses = raw.addresses.iter().map(|net| Part::Address { link: link(), net: net.value });
    parts.extend(addresses);
    parts.extend(routes.into_iter().map(|dst| Part::Route {
        link: link(),
        dst,
        metric: if raw.metric == 0 && dst.addr.is_ipv6() { IPV6_METRIC } else { raw.metric },
    }));
    parts.into_iter().map(|part| NamedPart { part, tunnel: owner.tunnel.to_owned() }).collect()
}

fn mtu(raw: &RawInterface, owner: &Owner<'_>, routes: &[Net], report: &Report) -> Option<u32> {
    let computed = || mtu::inner(&owner.outbound?.sa, mtu::ETHERNET);
    let Some(mtu) = raw.mtu.as_ref().map(|mtu| mtu.value).or_else(computed) else {
        report.error(&raw.name.at, "its MTU is not known for this transform: set `mtu`");
        return None;
    };
    let ipv6 = routes.iter().chain(raw.addresses.iter().map(|net| &net.value)).any(|net| net.addr.is_ipv6());
    if ipv6 && mtu < IPV6_MTU {
        let at = raw.mtu.as_ref().map_or(&raw.name.at, |mtu| &mtu.at);
        report.error(at, format_args!("is {mtu}, and IPv6 on the interface needs {IPV6_MTU}"));
    }
    Some(mtu)
}

fn routes(raw: &RawInterface, owner: &Owner<'_>, report: &Report) -> Vec<Net> {
    let Some(typed) = &raw.routes else { return owner.remote_nets.clone() };
    let mut routes = Vec::new();
    for Located { value, at } in &typed.nets {
        if routes.contains(value) {
            report.error(at, "names a network twice");
        }
        if covers(*value, owner.remote) {
            lint_loop(at, report);
        }
        routes.push(*value);
    }
    routes
}

fn lint_loop(at: &At, report: &Report) {
    report.lint(Lint::new(
        LintCode::RouteLoop,
        at,
        "the route leads to `remote` too: unless a narrower one does, what is encrypted goes into the interface again",
        "see that a route to `remote` over the outside interface is there, or narrow this one",
    ));
}

fn check_addresses(raw: &RawInterface, report: &Report) {
    for (index, Located { value, at }) in raw.addresses.iter().enumerate() {
        if raw.addresses.iter().take(index).any(|other| other.value == *value) {
            report.error(at, "names an address twice");
        }
    }
}

fn covers(net: Net, addr: IpAddr) -> bool {
    ipnet::IpNet::new(net.addr, net.len).is_ok_and(|net| net.contains(&addr))
}

/// Reports interfaces, and routes, that two tunnels name.
pub(in crate::config) fn unique<'a>(
    tunnels: impl Iterator<Item = (&'a [NamedPart], &'a At)>,
    report: &Report,
) {
    let mut links = BTreeMap::new();
    let mut routes = BTreeMap::new();
    for (parts, at) in tunnels {
        for NamedPart { part, tunnel } in parts {
            let taken = match part {
                Part::Link(XfrmLink { name, .. }) => links.insert(name, tunnel).map(|other| {
                    format!("interface {name} is that of tunnel `{other}` too: give each its own")
                }),
                Part::Route { dst, metric, .. } => routes.insert((dst, metric), tunnel).map(|other| {
                    format!(
                        "its route to {}/{} is that of tunnel `{other}` too: name other routes, or another `route_metric`",
                        dst.addr, dst.len
                    )
                }),
                Part::Address { .. } => None,
            };
            if let Some(text) = taken {
                report.error(at, text);
            }
        }
    }
}
