//! What an SA can have beside its transform: the options of `ip xfrm state` under names of their own.

use super::lifetime;
use crate::config::report::{At, Located};
use crate::config::scalar;
use crate::config::section::Section;
use crate::xfrm::model::{Limits, Mark, SaDir, SaStart, Selector};
use std::time::Duration;

/// Options that all have a meaning of "not set".
pub(in crate::config) struct RawSaOptions {
    pub(in crate::config) dir: Option<Located<SaDir>>,
    pub(in crate::config) flags: u8,
    pub(in crate::config) extra_flags: u32,
    pub(in crate::config) selector: Option<Selector>,
    pub(in crate::config) limits: Limits,
    pub(in crate::config) output_mark: Mark,
    pub(in crate::config) tfc_pad: u32,
    pub(in crate::config) nat_keepalive: Option<Located<Duration>>,
    pub(in crate::config) cpu: Option<Located<u32>>,
    pub(in crate::config) offload: Option<RawOffload>,
    pub(in crate::config) start: Located<SaStart>,
}

/// `offload = { interface, mode }`.
pub(in crate::config) struct RawOffload {
    pub(in crate::config) at: At,
    pub(in crate::config) interface: Option<Located<String>>,
    pub(in crate::config) packet: bool,
}

/// `XFRM_STATE_*`, but ESN, which has a key of its own.
const FLAGS: [(&str, u8); 7] = [
    ("noecn", 1),
    ("decap-dscp", 2),
    ("nopmtudisc", 4),
    ("wildrecv", 8),
    ("icmp", 16),
    ("af-unspec", 32),
    ("align4", 64),
];
/// `XFRM_SA_XFLAG_*`.
const EXTRA_FLAGS: [(&str, u32); 2] = [("dont-encap-dscp", 1), ("oseq-may-wrap", 2)];

impl RawSaOptions {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> Self {
        let (flags, extra_flags) = read_flags(section);
        Self {
            dir: section.choice("direction", &[("in", SaDir::In), ("out", SaDir::Out)]),
            flags,
            extra_flags,
            selector: read_selector(section),
            limits: lifetime::read(section),
            output_mark: scalar::mark(section, "output_mark"),
            tfc_pad: section
                .number("tfc_pad", 0..=u64::from(u16::MAX))
                .and_then(|pad| u32::try_from(pad.value).ok())
                .unwrap_or(0),
            nat_keepalive: section.text("nat_keepalive", scalar::seconds),
            cpu: scalar::located32(section, "cpu", 0),
            offload: read_offload(section),
            start: read_start(section),
        }
    }
}

fn read_flags(section: &mut Section<'_>) -> (u8, u32) {
    let known = |text: &str| {
        let flag = FLAGS.iter().find(|(name, _)| *name == text).map(|(_, bit)| (*bit, 0));
        let extra = EXTRA_FLAGS.iter().find(|(name, _)| *name == text).map(|(_, bit)| (0, *bit));
        flag.or(extra).ok_or_else(|| {
            let names: Vec<&str> = FLAGS
                .iter()
                .map(|(name, _)| *name)
                .chain(EXTRA_FLAGS.iter().map(|(name, _)| *name))
                .collect();
            format!("must be one of {}", names.join(", "))
        })
    };
    let flags = section.texts("flags", known).map(|list| list.value).unwrap_or_default();
    let set = flags.into_iter().flatten().map(|flag| flag.value);
    set.fold((0, 0), |(flags, extra), (flag, more)| (flags | flag, extra | more))
}

/// `selector = { src, dst, protocol, sport, dport }`: what the SA itself may carry.
fn read_selector(section: &mut Section<'_>) -> Option<Selector> {
    let mut table = section.table("selector")?;
    table.require("src");
    table.require("dst");
    let (src, dst) = (table.text("src", scalar::net), table.text("dst", scalar::net));
    let protocol = scalar::protocol(&mut table, "protocol").map_or(0, |protocol| protocol.value);
    let ports = scalar::ports(&mut table, protocol);
    table.finish();
    let (src, dst) = (src?, dst?);
    if src.value.addr.is_ipv4() != dst.value.addr.is_ipv4() {
        section.report.error(&dst.at, "is of another family than `src`");
        return None;
    }
    let [sport, dport] = ports;
    Some(Selector { src: src.value, dst: dst.value, proto: protocol, sport, dport, ifindex: 0 })
}

/// `sequence = { sent, received }`: where the numbers of the SA begin.
fn read_start(section: &mut Section<'_>) -> Located<SaStart> {
    let at = section.place("sequence");
    let mut start = SaStart::default();
    let Some(mut table) = section.table("sequence") else { return Located { value: start, at } };
    for (key, slot) in [("sent", &mut start.oseq), ("received", &mut start.seq)] {
        *slot = table.number(key, 0..=i64::MAX.unsigned_abs()).map_or(0, |number| number.value);
    }
    table.finish();
    Located { value: start, at }
}

fn read_offload(section: &mut Section<'_>) -> Option<RawOffload> {
    let mut table = section.table("offload")?;
    table.require("interface");
    let interface = table.text("interface", scalar::interface);
    let packet = table.choice("mode", &[("crypto", false), ("packet", true)]).is_some_and(|mode| mode.value);
    let at = table.at.clone();
    table.finish();
    Some(RawOffload { at, interface, packet })
}
