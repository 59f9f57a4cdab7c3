//! `[[sa]]` as it was typed.

use super::sa_options::RawSaOptions;
use super::tunnel::{RawEncap, RawReplay};
use crate::config::algo::Transform;
use crate::config::key::KeyStore;
use crate::config::protection::Protection;
use crate::config::report::{At, Located};
use crate::config::scalar;
use crate::config::section::Section;
use crate::xfrm::model::{AH, COMP, Mark, Mode};
use esp_common::Spi;
use std::net::IpAddr;

/// One SA, the raw way.
pub(in crate::config) struct RawSa {
    pub(in crate::config) src: Option<Located<IpAddr>>,
    pub(in crate::config) dst: Option<Located<IpAddr>>,
    pub(in crate::config) spi: Option<Located<Spi>>,
    pub(in crate::config) proto: Located<u8>,
    pub(in crate::config) mode: Option<Mode>,
    pub(in crate::config) reqid: u32,
    pub(in crate::config) transform: Option<Transform>,
    pub(in crate::config) transform_at: At,
    pub(in crate::config) protection: Option<Protection>,
    pub(in crate::config) replay: RawReplay,
    pub(in crate::config) if_id: u32,
    pub(in crate::config) mark: Mark,
    pub(in crate::config) encap: Option<RawEncap>,
    pub(in crate::config) tunnel: Option<String>,
    pub(in crate::config) options: RawSaOptions,
}

impl RawSa {
    pub(in crate::config) fn read(mut section: Section<'_>, store: &KeyStore) -> Self {
        for key in ["src", "dst", "spi", "mode"] {
            section.require(key);
        }
        let proto = scalar::ipsec(&mut section);
        let transform = match proto.value {
            AH => Transform::read_authentic(&mut section),
            COMP => Transform::read_compression(&mut section),
            _ => Transform::read(&mut section),
        };
        let raw = Self {
            proto,
            src: section.text("src", scalar::host_addr),
            dst: section.text("dst", scalar::host_addr),
            spi: scalar::spi(&mut section, "spi"),
            mode: scalar::any_mode(&mut section).map(|mode| mode.value),
            reqid: scalar::number32(&mut section, "reqid").unwrap_or_default(),
            transform,
            transform_at: section.place(if section.has("aead") { "aead" } else { "integrity" }),
            protection: Protection::read(&mut section, transform, store),
            replay: RawReplay::read(&mut section),
            if_id: scalar::number32(&mut section, "if_id").unwrap_or_default(),
            mark: scalar::mark(&mut section, "mark"),
            encap: RawEncap::of_sa(&mut section),
            tunnel: section.text("tunnel", scalar::tunnel_name).map(|name| name.value),
            options: RawSaOptions::read(&mut section),
        };
        section.finish();
        raw
    }
}
