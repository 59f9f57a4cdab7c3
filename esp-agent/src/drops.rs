//! Dropped packets as lines: for people, and as JSON with a schema that only grows.

use crate::plan::text::proto_name;
use crate::state::State;
use crate::xfrm::model::ESP;
use esp_common::{Hook, Reason, Sample, Spi, selector::has_ports};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// Version of the schema of a line.
pub const SCHEMA: u32 = 1;

/// What samples are named by.
#[derive(Debug, Default)]
pub struct Names {
    /// Interfaces, by their slot.
    pub ifaces: BTreeMap<u16, String>,
    /// Policies, tunnels, SAs that are gone.
    pub state: State,
}

/// One dropped packet. Fields that say nothing about it are left out of its JSON.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct Line {
    schema: u32,
    time: String,
    iface: String,
    hook: &'static str,
    reason: &'static str,
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    sport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dport: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spi: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    bytes: u32,
}

impl Line {
    /// A sample, read at `now` and `now_ns` of CLOCK_MONOTONIC.
    #[must_use]
    pub fn of(sample: &Sample, names: &Names, now: SystemTime, now_ns: u64) -> Self {
        let ago = Duration::from_nanos(now_ns.saturating_sub(sample.time_ns));
        let time = now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        let [a, b, c, d, ..] = sample.upper;
        let ports = has_ports(sample.proto).then(|| [[a, b], [c, d]].map(u16::from_be_bytes));
        let dst = sample.dst.ip();
        let spi = (sample.proto == ESP).then(|| Spi::from_wire([a, b, c, d]));
        let state = &names.state;
        let stone = spi.and_then(|spi| {
            state.tombstones.iter().find(|stone| stone.dst == dst && stone.spi == spi.number())
        });
        let named = spi.map(|spi| state.tunnel(dst, spi).to_owned()).filter(|name| !name.is_empty());
        let policy = state.policies.get(&sample.policy).cloned();
        Self {
            schema: SCHEMA,
            time: humantime::format_rfc3339_millis(time).to_string(),
            iface: names.ifaces.get(&sample.iface).cloned().unwrap_or_default(),
            hook: Hook::ALL.iter().find(|hook| hook.as_raw() == sample.hook).map_or("?", |hook| hook.label()),
            reason: Reason::ALL
                .iter()
                .find(|reason| reason.as_raw() == sample.reason)
                .map_or("?", |reason| reason.label()),
            src: sample.src.ip(),
            dst,
            proto: sample.proto,
            sport: ports.map(|[sport, _]| sport),
            dport: ports.map(|[_, dport]| dport),
            spi: spi.map(|spi| spi.to_string()),
            tunnel: named.or_else(|| stone.map(|stone| stone.tunnel.clone())).filter(|name| !name.is_empty()),
            gone: stone.map(|stone| stone.cause.words()),
            policy: policy.or_else(|| (sample.policy != 0).then(|| format!("index {}", sample.policy))),
            bytes: sample.len,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, iface, hook, reason, src, dst, .. } = self;
        write!(f, "{time} {iface} {hook:<10} {reason:<17} ")?;
        match (self.sport, self.dport) {
            (Some(sport), Some(dport)) => write!(f, "{src}:{sport} -> {dst}:{dport}")?,
            _ => write!(f, "{src} -> {dst}")?,
        }
        write!(f, " {}", proto_name(self.proto))?;
        if let Some(spi) = &self.spi {
            write!(f, " spi {spi}")?;
        }
        if let Some(policy) = &self.policy {
            write!(f, " policy \"{}\"", policy.escape_debug())?;
        }
        match (&self.tunnel, self.gone) {
            (Some(tunnel), Some(gone)) => write!(f, " ({tunnel}, {gone})")?,
            (Some(tunnel), None) => write!(f, " ({tunnel})")?,
            (None, Some(gone)) => write!(f, " ({gone})")?,
            (None, None) => {}
        }
        write!(f, " {} bytes", self.bytes)
    }
}
