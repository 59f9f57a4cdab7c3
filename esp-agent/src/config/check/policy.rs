//! Rules of one `[[policy]]`.

use crate::config::derive;
use crate::config::desired::NamedPolicy;
use crate::config::raw::policy::{RawPolicy, RawTemplate};
use crate::config::report::{Located, Report};
use crate::xfrm::model::{Mode, Net, Policy, PolicyAction, PolicyDir, PolicyId, Selector, Template};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `XFRM_MAX_DEPTH` of the kernel.
const MAX_TEMPLATES: usize = 6;

/// Checks a policy, the `number`th of the file; `None` when something that it needs is missing.
pub(in crate::config) fn check(
    raw: RawPolicy,
    number: usize,
    report: &Report,
) -> Option<Located<NamedPolicy>> {
    if raw.action == PolicyAction::Block && !raw.templates.is_empty() {
        report.error(&raw.at, "a block policy takes no template");
    }
    if raw.templates.len() > MAX_TEMPLATES {
        report.error(&raw.at, format_args!("has more than {MAX_TEMPLATES} templates"));
    }
    let (src, dst, dir) = (raw.src?, raw.dst?, raw.dir);
    if src.value.addr.is_ipv4() != dst.value.addr.is_ipv4() {
        report.error(&dst.at, "is of another family than `src`");
        return None;
    }
    let templates: Vec<Option<Template>> =
        raw.templates.into_iter().map(|template| check_template(template, src.value, dir, report)).collect();
    let [sport, dport] = raw.ports;
    let selector = Selector { src: src.value, dst: dst.value, proto: raw.protocol, sport, dport, ifindex: 0 };
    let policy = Policy {
        id: PolicyId { selector, dir: dir?, mark: raw.mark, if_id: raw.if_id },
        priority: raw.priority.unwrap_or_else(|| derive::priority(&selector)),
        action: raw.action,
        flags: raw.flags,
        templates: templates.into_iter().collect::<Option<_>>()?,
        limits: raw.limits,
        offload: None,
    };
    let (name, at) = match raw.name {
        Some(name) => (name.value, name.at),
        None => (format!("policy-{number}"), raw.at),
    };
    Some(Located { value: NamedPolicy { policy, name, tunnel: raw.tunnel, device: raw.device }, at })
}

fn check_template(
    raw: RawTemplate,
    selected: Net,
    dir: Option<PolicyDir>,
    report: &Report,
) -> Option<Template> {
    let is_v4 = |raw: &Option<Located<IpAddr>>| raw.as_ref().map(|addr| addr.value.is_ipv4());
    let mode = raw.mode?;
    let tunnel = matches!(mode, Mode::Tunnel | Mode::Beet);
    if tunnel && (raw.src.is_none() || raw.dst.is_none()) {
        report.error(&raw.at, "a template in tunnel or beet mode needs `src` and `dst`");
        return None;
    }
    let family = if tunnel { is_v4(&raw.src)? } else { selected.addr.is_ipv4() };
    for end in [&raw.src, &raw.dst].into_iter().flatten() {
        if end.value.is_ipv4() != family {
            report.error(&end.at, "is of another family than the rest of the template or its policy");
            return None;
        }
    }
    if tunnel && raw.optional && dir == Some(PolicyDir::Out) {
        // validate_tmpl of the kernel refuses it since Linux 6.4 ("xfrm: Reject optional tunnel/BEET mode
        // templates in outbound policies").
        report.error(&raw.at, "an outbound template in tunnel or beet mode cannot have `level = \"use\"`");
    }
    let any: IpAddr = if family { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    Some(Template {
        src: raw.src.map_or(any, |src| src.value),
        dst: raw.dst.map_or(any, |dst| dst.value),
        spi: raw.spi,
        proto: raw.proto,
        mode,
        reqid: raw.reqid,
        optional: raw.optional,
    })
}
