//! `[[tunnel]]` as it was typed.

use super::interface::RawInterface;
use crate::config::algo::Transform;
use crate::config::key::KeyStore;
use crate::config::protection::Protection;
use crate::config::report::{At, Located};
use crate::config::scalar;
use crate::config::section::Section;
use crate::natt;
use crate::xfrm::model::{Mode, Net};
use esp_common::Spi;
use std::net::IpAddr;
use std::time::Duration;

/// Two ends, two networks, keys.
pub(in crate::config) struct RawTunnel {
    pub(in crate::config) at: At,
    pub(in crate::config) name: Option<Located<String>>,
    pub(in crate::config) mode: Option<Mode>,
    pub(in crate::config) local: Option<Located<IpAddr>>,
    pub(in crate::config) remote: Option<Located<IpAddr>>,
    pub(in crate::config) local_nets: Option<RawNets>,
    pub(in crate::config) remote_nets: Option<RawNets>,
    pub(in crate::config) protocol: Option<Located<u8>>,
    pub(in crate::config) transform: Option<Transform>,
    pub(in crate::config) transform_at: At,
    pub(in crate::config) inbound: Option<RawDirection>,
    pub(in crate::config) outbound: Option<RawDirection>,
    pub(in crate::config) reqid: Option<Located<u32>>,
    pub(in crate::config) replay: RawReplay,
    pub(in crate::config) priority: Option<u32>,
    pub(in crate::config) forward: Option<Located<bool>>,
    pub(in crate::config) if_id: u32,
    pub(in crate::config) interface: Option<RawInterface>,
    pub(in crate::config) encap: Option<RawEncap>,
}

/// A list of networks.
pub(in crate::config) struct RawNets {
    pub(in crate::config) at: At,
    pub(in crate::config) nets: Vec<Located<Net>>,
    /// False when some of them could not be read.
    pub(in crate::config) complete: bool,
}

/// `[tunnel.in]` or `[tunnel.out]`.
pub(in crate::config) struct RawDirection {
    pub(in crate::config) spi: Option<Located<Spi>>,
    pub(in crate::config) at: At,
    pub(in crate::config) protection: Option<Protection>,
}

/// Anti-replay.
pub(in crate::config) struct RawReplay {
    pub(in crate::config) at: At,
    pub(in crate::config) window: u32,
    pub(in crate::config) esn: bool,
}

/// UDP encapsulation.
pub(in crate::config) struct RawEncap {
    /// Of this end, or of the SA's source.
    pub(in crate::config) near: u16,
    /// Of the other end, or of the SA's destination.
    pub(in crate::config) far: u16,
    /// `None` for never; of a tunnel only.
    pub(in crate::config) keepalive: Option<Duration>,
}

impl RawTunnel {
    pub(in crate::config) fn read(mut section: Section<'_>, store: &KeyStore) -> Self {
        for key in ["name", "local", "remote", "in", "out"] {
            section.require(key);
        }
        let transform = Transform::read(&mut section);
        let raw = Self {
            at: section.at.clone(),
            name: section.text("name", scalar::tunnel_name),
            mode: match section.has("mode") {
                true => scalar::mode(&mut section).map(|mode| mode.value),
                false => scalar::mode(&mut section).map_or(Some(Mode::Tunnel), |mode| Some(mode.value)),
            },
            local: section.text("local", scalar::host_addr),
            remote: section.text("remote", scalar::host_addr),
            local_nets: read_nets(&mut section, "local_net"),
            remote_nets: read_nets(&mut section, "remote_net"),
            protocol: scalar::protocol(&mut section, "protocol"),
            transform,
            transform_at: section.place(if section.has("aead") { "aead" } else { "integrity" }),
            inbound: read_direction(&mut section, "in", transform, store),
            outbound: read_direction(&mut section, "out", transform, store),
            reqid: scalar::located32(&mut section, "reqid", 1),
            replay: RawReplay::read(&mut section),
            priority: scalar::number32(&mut section, "priority"),
            forward: section.flag("forward"),
            if_id: scalar::number32(&mut section, "if_id").unwrap_or_default(),
            interface: RawInterface::read(&mut section),
            encap: RawEncap::of_tunnel(&mut section),
        };
        section.finish();
        raw
    }
}

pub(super) fn read_nets(section: &mut Section<'_>, key: &str) -> Option<RawNets> {
    let list = section.texts(key, scalar::net)?;
    if list.value.is_empty() {
        section.report.error(&list.at, "is empty: name a network");
    }
    let complete = !list.value.is_empty() && list.value.iter().all(Option::is_some);
    Some(RawNets { at: list.at, nets: list.value.into_iter().flatten().collect(), complete })
}

fn read_direction(
    section: &mut Section<'_>,
    key: &str,
    transform: Option<Transform>,
    store: &KeyStore,
) -> Option<RawDirection> {
    let mut table = section.table(key)?;
    table.require("spi");
    let spi = scalar::spi(&mut table, "spi");
    let protection = Protection::read(&mut table, transform, store);
    let at = table.place("spi");
    table.finish();
    Some(RawDirection { spi, at, protection })
}

/// Largest window (`XFRMA_REPLAY_ESN_MAX` of the kernel, in bits).
const MAX_WINDOW: u64 = 4096;
/// The default of RFC 4303 section 3.4.3.
const DEFAULT_WINDOW: u32 = 64;

impl RawReplay {
    pub(in crate::config) fn read(section: &mut Section<'_>) -> Self {
        let window = section.number("replay_window", 0..=MAX_WINDOW);
        let window = window.and_then(|window| u32::try_from(window.value).ok()).unwrap_or(DEFAULT_WINDOW);
        let esn = section.flag("esn").is_some_and(|esn| esn.value);
        let at = section.place("replay_window");
        if esn && window == 0 {
            // xfrm_init_replay of the kernel refuses it.
            section.report.error(&at, "must not be 0 with `esn`");
        }
        Self { at, window, esn }
    }
}

impl RawEncap {
    /// Reads `encap = {}` of an SA.
    pub(in crate::config) fn of_sa(section: &mut Section<'_>) -> Option<Self> {
        let table = section.table("encap")?;
        Some(Self::read(table, ["sport", "dport"], |_| None))
    }

    /// Reads `encap = {}` of a tunnel: the agent sends keepalives unless it says no.
    fn of_tunnel(section: &mut Section<'_>) -> Option<Self> {
        let table = section.table("encap")?;
        Some(Self::read(table, ["local_port", "remote_port"], |table| {
            let every = table.text("keepalive", scalar::keepalive);
            every.map_or(Some(natt::KEEPALIVE), |every| every.value)
        }))
    }

    /// Two ports that are 4500 unless given.
    fn read(
        mut table: Section<'_>,
        keys: [&str; 2],
        keepalive: impl FnOnce(&mut Section<'_>) -> Option<Duration>,
    ) -> Self {
        let [near, far] = keys.map(|key| {
            let port = table.number(key, 1..=u64::from(u16::MAX));
            port.and_then(|port| u16::try_from(port.value).ok()).unwrap_or(4500)
        });
        let keepalive = keepalive(&mut table);
        table.finish();
        Self { near, far, keepalive }
    }
}
