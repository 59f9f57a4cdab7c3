//! A policy of a dump.

use super::DumpError;
use super::words::Line;
use crate::xfrm::model::{
    Mark, Net, ObservedPolicy, Policy, PolicyAction, PolicyDir, PolicyId, Port, Selector, Template,
};
use esp_common::Spi;

/// Reads the lines of one policy.
pub(super) fn read(first: &Line<'_>, body: &[Line<'_>]) -> Result<ObservedPolicy, DumpError> {
    let Some(head) = body.first() else { return Err(first.error("lacks its direction")) };
    let socket = head.starts("socket");
    let dir = match head.need(if socket { "socket" } else { "dir" }, "lacks its direction")? {
        "in" => PolicyDir::In,
        "out" => PolicyDir::Out,
        "fwd" => PolicyDir::Fwd,
        _ => return Err(head.error("holds a direction that is none")),
    };
    let mut policy =
        Policy::bare(PolicyId { selector: selector(first)?, dir, mark: Mark::default(), if_id: 0 });
    policy.priority = head.number("priority")?;
    if head.after("action") == Some("block") {
        policy.action = PolicyAction::Block;
    }
    for (line, next) in body.iter().zip(body.iter().skip(1).map(Some).chain([None])) {
        match line.words.as_slice() {
            ["mark", ..] => policy.id.mark = line.mark("mark")?,
            ["if_id", ..] => policy.id.if_id = line.number("if_id")?,
            ["tmpl", ..] => policy.templates.push(template(line, next)?),
            ["level", "use", ..] => {
                if let Some(template) = policy.templates.last_mut() {
                    template.optional = true;
                }
            }
            _ => {}
        }
    }
    Ok(ObservedPolicy { policy, index: 0, added_s: 0, used_s: 0 })
}

fn template(line: &Line<'_>, next: Option<&Line<'_>>) -> Result<Template, DumpError> {
    let Some(next) = next else { return Err(line.error("lacks the second line of its template")) };
    Ok(Template {
        src: line.addr("src")?,
        dst: line.addr("dst")?,
        spi: Spi::new(next.number("spi")?),
        proto: next.transform()?,
        mode: next.mode()?,
        reqid: next.number("reqid")?,
        optional: false,
    })
}

fn selector(line: &Line<'_>) -> Result<Selector, DumpError> {
    let mut selector = Selector::between(net(line, "src")?, net(line, "dst")?);
    if let Some(word) = line.after("proto") {
        let name = "names a protocol that is not known here: print the dump with `ip -N`";
        selector.proto = protocol(word).ok_or_else(|| line.error(name))?;
    }
    for (key, port) in [("sport", 0), ("dport", 1), ("type", 0), ("code", 1)] {
        let Some(word) = line.after(key) else { continue };
        let value = port_of(word).ok_or_else(|| line.error("holds a port that is none"))?;
        *(if port == 0 { &mut selector.sport } else { &mut selector.dport }) = value;
    }
    if let Some(device) = line.after("dev") {
        selector.ifindex = stand_in(device);
    }
    Ok(selector)
}

/// The index of a device is not in the text: a number that is the same for the same name, and never 0.
fn stand_in(device: &str) -> u32 {
    device.bytes().fold(1, |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) | 1
}

fn net(line: &Line<'_>, key: &str) -> Result<Net, DumpError> {
    let word = line.need(key, "lacks an address")?;
    let wrong = || line.error("holds a network that is none");
    let (addr, len) = word.split_once('/').map_or((word, None), |(addr, len)| (addr, Some(len)));
    let addr: std::net::IpAddr = addr.parse().map_err(|_| wrong())?;
    let full = if addr.is_ipv4() { 32 } else { 128 };
    let len = len.map_or(Ok(full), |len| len.parse().map_err(|_| wrong()))?;
    if len > full { Err(wrong()) } else { Ok(Net { addr, len }) }
}

/// `443`, or `443/0xfff0` with a mask.
fn port_of(word: &str) -> Option<Port> {
    let (port, mask) = word.split_once('/').unwrap_or((word, "0xffff"));
    let mask =
        mask.strip_prefix("0x").map_or_else(|| mask.parse().ok(), |hex| u16::from_str_radix(hex, 16).ok());
    Some(Port { port: port.parse().ok()?, mask: mask? })
}

/// Names of /etc/protocols that selectors have, else a number.
fn protocol(word: &str) -> Option<u8> {
    const NAMES: [(&str, u8); 18] = [
        ("icmp", 1),
        ("igmp", 2),
        ("ipencap", 4),
        ("ipip", 4),
        ("tcp", 6),
        ("udp", 17),
        ("ipv6", 41),
        ("gre", 47),
        ("esp", 50),
        ("ah", 51),
        ("ipv6-icmp", 58),
        ("ospf", 89),
        ("pim", 103),
        ("ipcomp", 108),
        ("vrrp", 112),
        ("l2tp", 115),
        ("sctp", 132),
        ("udplite", 136),
    ];
    NAMES.iter().find(|(name, _)| *name == word).map(|(_, number)| *number).or_else(|| word.parse().ok())
}
