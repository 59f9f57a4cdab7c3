//! Strings to values. No error text quotes its input: a key may have been typed into the wrong place.

use super::report::{Located, looks_like_a_key};
use super::section::Section;
use crate::xfrm::model::{AH, COMP, ESP, Mark, Mode, Net, Port};
use esp_common::{Spi, TunnelName};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// An address that a host can have.
pub(super) fn host_addr(text: &str) -> Result<IpAddr, String> {
    let addr: IpAddr = text.parse().map_err(|_| "must be an IPv4 or IPv6 address".to_owned())?;
    if addr.is_unspecified() || addr.is_multicast() {
        return Err("must be the address of one host".to_owned());
    }
    // The datapath stores IPv4 in this form: the two would not be told apart.
    if matches!(addr, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err("is an IPv4-mapped address: write it as IPv4".to_owned());
    }
    Ok(addr)
}

/// A network in CIDR notation; an address alone is that host.
pub(super) fn net(text: &str) -> Result<Net, String> {
    if let Ok(addr) = text.parse::<IpAddr>() {
        return Ok(Net { addr, len: if addr.is_ipv4() { 32 } else { 128 } });
    }
    let net: ipnet::IpNet =
        text.parse().map_err(|_| "must be a network such as 192.168.1.0/24 or 2001:db8::/64".to_owned())?;
    if net.addr() != net.network() {
        return Err(format!("has bits set behind its prefix: write {}", net.trunc()));
    }
    Ok(Net { addr: net.addr(), len: net.prefix_len() })
}

/// An address with the prefix length of its network; alone it is that of one host.
pub(super) fn interface_addr(text: &str) -> Result<Net, String> {
    let wanted = || "must be an address such as 10.255.0.1/30 or 2001:db8::1/64".to_owned();
    let (addr, len) = text.split_once('/').map_or((text, None), |(addr, len)| (addr, Some(len)));
    let addr = host_addr(addr)?;
    let whole = if addr.is_ipv4() { 32 } else { 128 };
    let len = len.map_or(Some(whole), |len| len.parse().ok().filter(|len| *len <= whole));
    Ok(Net { addr, len: len.ok_or_else(wanted)? })
}

/// The name of a tunnel: it becomes a label in maps and metrics.
pub(super) fn tunnel_name(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    if looks_like_a_key(text) {
        return Err("looks like a key, and names are shown: take a word".to_owned());
    }
    let name = TunnelName::new(text).map(|_| text.to_owned());
    name.ok_or_else(|| format!("must have 1 to {} bytes", TunnelName::LEN - 1))
}

/// The name of a network interface (`dev_valid_name` of the kernel).
pub(super) fn interface(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() < 16 && text != "." && text != "..";
    let clean = !text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
    if fits && clean {
        Ok(text.to_owned())
    } else {
        Err("must be the name of a network interface".to_owned())
    }
}

/// A time such as `1s` or `500ms`, within a range.
pub(super) fn duration(text: &str, sane: RangeInclusive<Duration>) -> Result<Duration, String> {
    let time =
        humantime::parse_duration(text).map_err(|_| "must be a time such as 1s or 500ms".to_owned())?;
    let [from, to] = [sane.start(), sane.end()].map(|end| humantime::format_duration(*end));
    if sane.contains(&time) { Ok(time) } else { Err(format!("must be from {from} to {to}")) }
}

/// How often xfrm_stat is mirrored.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_millis(100)..=Duration::from_secs(3600))
}

/// How often a keepalive goes out: a time of whole seconds up to an hour, or `off`.
pub(super) fn keepalive(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    match seconds(text) {
        Ok(every) if every <= Duration::from_secs(3600) => Ok(Some(every)),
        Ok(_) | Err(_) => Err("must be a time from 1s to 1h such as 20s, or \"off\"".to_owned()),
    }
}

/// An SPI of an SA: an integer, or a string such as `0x69427567`.
pub(super) fn spi(section: &mut Section<'_>, key: &str) -> Option<Located<Spi>> {
    section.number_or_text(key, sa_spi, |text| sa_spi(whole_number(text)))
}

/// An SPI of a template: 0, the default, is any.
pub(super) fn template_spi(section: &mut Section<'_>, key: &str) -> Option<Located<Spi>> {
    let any = |number| if number == Some(0) { Ok(Spi::new(0)) } else { sa_spi(number) };
    section.number_or_text(key, any, |text| any(whole_number(text)))
}

fn sa_spi(number: Option<u64>) -> Result<Spi, String> {
    let number = number.and_then(|number| u32::try_from(number).ok());
    let spi = number.map(Spi::new).ok_or("must be a 32-bit number such as 0x69427567")?;
    if spi.is_zero() || spi.is_reserved() {
        return Err(
            "0 to 255 are reserved (RFC 4303 section 2.1): take a random SPI from 0x100 on".to_owned()
        );
    }
    Ok(spi)
}

fn whole_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Upper-layer protocols that have a name here.
const PROTOCOLS: [(&str, u8); 13] = [
    ("any", 0),
    ("icmp", 1),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("ipv6", 41),
    ("gre", 47),
    ("icmpv6", 58),
    ("ospf", 89),
    ("l2tp", 115),
    ("sctp", 132),
    ("mh", 135),
    ("udplite", 136),
];

/// An upper-layer protocol by name or number; 0 is any.
pub(super) fn protocol(section: &mut Section<'_>, key: &str) -> Option<Located<u8>> {
    let known = || {
        let names: Vec<&str> = PROTOCOLS.iter().map(|(name, _)| *name).collect();
        format!("must be a number from 0 to 255 or one of {}", names.join(", "))
    };
    let numbered = |number: Option<u64>| number.and_then(|number| u8::try_from(number).ok());
    section.number_or_text(
        key,
        |number| numbered(number).ok_or_else(known),
        |text| {
            let named = PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
            named.or_else(|| numbered(whole_number(text))).ok_or_else(known)
        },
    )
}

/// Transport or tunnel.
pub(super) fn mode(section: &mut Section<'_>) -> Option<Located<Mode>> {
    section.choice("mode", &[("tunnel", Mode::Tunnel), ("transport", Mode::Transport)])
}

/// As [`mode`], or BEET (bound end-to-end tunnel), which only the raw way has.
pub(super) fn any_mode(section: &mut Section<'_>) -> Option<Located<Mode>> {
    let modes = [("tunnel", Mode::Tunnel), ("transport", Mode::Transport), ("beet", Mode::Beet)];
    section.choice("mode", &modes)
}

/// `{ value = 1, mask = 0xff }` under `key`; without a mask all bits count.
pub(super) fn mark(section: &mut Section<'_>, key: &str) -> Mark {
    let Some(mut table) = section.table(key) else { return Mark::default() };
    table.require("value");
    let value = number32(&mut table, "value");
    let mask = number32(&mut table, "mask").unwrap_or(u32::MAX);
    let at = table.at.clone();
    table.finish();
    let value = value.unwrap_or_default();
    if value & !mask != 0 {
        section.report.error(&at, "has bits outside its mask: it would never match");
    }
    Mark { value, mask }
}

/// The IPsec protocol of an SA or template; ESP unless it is named.
pub(super) fn ipsec(section: &mut Section<'_>) -> Located<u8> {
    let at = section.place("protocol");
    let named = section.choice("protocol", &[("esp", ESP), ("ah", AH), ("comp", COMP)]);
    named.unwrap_or(Located { value: ESP, at })
}

/// A GRE key lies where others have ports: its upper half in the source's (`xfrm_flowi_sport`).
fn gre_key(section: &mut Section<'_>, protocol: u8) -> Option<[Port; 2]> {
    const GRE: u8 = 47;
    let key = located32(section, "gre_key", 0)?;
    if protocol != GRE {
        section.report.error(&key.at, "needs `protocol` gre");
    }
    let half = |shift: u32| Port { port: (key.value >> shift & 0xffff) as u16, mask: u16::MAX };
    Some([half(16), half(0)])
}

/// A time of whole seconds, such as `8h` or `90s`.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|_| "must be a time such as 8h or 90s".to_owned())?;
    if time.is_zero() || time.subsec_nanos() != 0 {
        return Err("must be a whole number of seconds from 1 on".to_owned());
    }
    Ok(time)
}

/// Units of [`bytes`].
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A number of bytes: an integer, or a string such as `10GiB`.
pub(super) fn bytes(section: &mut Section<'_>, key: &str) -> Option<u64> {
    let wanted = || "must be a number of bytes from 1 on, or a string such as \"10GiB\"".to_owned();
    let some = |number: Option<u64>| number.filter(|number| *number > 0).ok_or_else(wanted);
    let sized = |text: &str| {
        let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit)).copied().unwrap_or(("", 1));
        let number = text.strip_suffix(unit)?.trim_end().parse::<u64>().ok()?;
        number.checked_mul(factor)
    };
    section.number_or_text(key, some, |text| some(sized(text))).map(|bytes| bytes.value)
}

/// Protocols whose packets have ports, or an ICMP type and code, for the kernel's selector.
const WITH_PORTS: [u8; 8] = [1, 6, 17, 33, 58, 132, 135, 136];
/// Of these, those with a type and a code.
const WITH_TYPES: [u8; 2] = [1, 58];

/// `sport` and `dport`, or `icmp_type` and `icmp_code`, which the kernel keeps in the same place.
pub(super) fn ports(section: &mut Section<'_>, protocol: u8) -> [Port; 2] {
    ports_named(section, protocol, ["sport", "dport"])
}

/// The same with other names for the ports.
pub(super) fn ports_named(section: &mut Section<'_>, protocol: u8, keys: [&'static str; 2]) -> [Port; 2] {
    if let Some(key) = gre_key(section, protocol) {
        return key;
    }
    let any_protocol = keys.map(|key| (key, u16::MAX));
    let icmp = [("icmp_type", u16::from(u8::MAX)), ("icmp_code", u16::from(u8::MAX))];
    let read = |section: &mut Section<'_>, (key, max): (&str, u16)| {
        let number = section.number(key, 0..=u64::from(max))?;
        let is_type = key.starts_with("icmp");
        if is_type && !WITH_TYPES.contains(&protocol) {
            section.report.error(&number.at, "needs `protocol` icmp or icmpv6");
        } else if !WITH_PORTS.contains(&protocol) {
            section.report.error(&number.at, "needs a `protocol` with ports, such as tcp or udp");
        }
        let port = u16::try_from(number.value).unwrap_or(0);
        Some((Port { port, mask: u16::MAX }, number.at))
    };
    let mut pair = |index: usize| {
        let [plain, named] = [any_protocol, icmp].map(|keys| keys.get(index).copied().unwrap_or_default());
        match (read(section, plain), read(section, named)) {
            (Some(_), Some((_, at))) => {
                section.report.error(&at, format_args!("means the same as `{}`: write one", plain.0));
                Port::default()
            }
            (Some((port, _)), None) | (None, Some((port, _))) => port,
            (None, None) => Port::default(),
        }
    };
    [pair(0), pair(1)]
}

/// A 32-bit number.
pub(super) fn number32(section: &mut Section<'_>, key: &str) -> Option<u32> {
    located32(section, key, 0).map(|number| number.value)
}

/// A 32-bit number from `min` on, with its place.
pub(super) fn located32(section: &mut Section<'_>, key: &str, min: u32) -> Option<Located<u32>> {
    let number = section.number(key, u64::from(min)..=u64::from(u32::MAX))?;
    Some(number.map(|value| u32::try_from(value).unwrap_or(u32::MAX)))
}
