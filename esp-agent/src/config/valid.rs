//! Parts of a checked configuration.

use super::desired::{KeyedSa, NamedPart, NamedPolicy};
use crate::xfrm::model::{Mode as SaMode, Net};
use esp_common::{Guard, Mode, names};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// What each guard does; `observe` unless the file says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GuardModes {
    /// ESP to us whose SPI no SA has.
    pub unknown_spi: Mode,
    /// Clear text in that had to be protected.
    pub cleartext_in: Mode,
    /// Clear text out that has to be protected.
    pub cleartext_out: Mode,
    /// Decrypted packets outside the selectors of their SA.
    pub selectors: Mode,
}

impl GuardModes {
    /// The numbers for [`esp_common::Settings`], in the order of [`Guard::ALL`].
    #[must_use]
    pub fn as_raw(self) -> [u8; 4] {
        Guard::ALL.map(|guard| self.of(guard).as_raw())
    }

    /// The mode of one guard.
    #[must_use]
    pub const fn of(self, guard: Guard) -> Mode {
        match guard {
            Guard::UnknownSpi => self.unknown_spi,
            Guard::CleartextIn => self.cleartext_in,
            Guard::CleartextOut => self.cleartext_out,
            Guard::Selectors => self.selectors,
        }
    }

    pub(super) const fn of_mut(&mut self, guard: Guard) -> &mut Mode {
        match guard {
            Guard::UnknownSpi => &mut self.unknown_spi,
            Guard::CleartextIn => &mut self.cleartext_in,
            Guard::CleartextOut => &mut self.cleartext_out,
            Guard::Selectors => &mut self.selectors,
        }
    }
}

/// What the agent does about objects of its own that someone deletes or changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reconcile {
    /// Nothing: only a start and a reload bring the kernel to the configuration.
    Off,
    /// Says and counts it.
    Report,
    /// Says and counts it, and brings the object back. The default: a gateway without its policies sends in the clear.
    #[default]
    Repair,
}

impl Reconcile {
    /// All of them, as they are written.
    pub const NAMES: [(&'static str, Self); 3] =
        [("off", Self::Off), ("report", Self::Report), ("repair", Self::Repair)];

    /// As it is written.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Repair => "repair",
        }
    }
}

/// Entries of the maps whose size is a matter of taste.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// SAs that the datapath knows.
    pub sas: u32,
    /// Flows of known SAs.
    pub flows: u32,
    /// Flows that no SA has.
    pub ghosts: u32,
}

impl Sizes {
    /// Fewer entries serve nobody.
    pub(super) const MIN: u32 = 16;
    /// More would pin gigabytes: a flow costs about a hundred bytes on each CPU.
    pub(super) const MAX: u32 = 1 << 20;
}

impl Default for Sizes {
    fn default() -> Self {
        Self { sas: names::SAS, flows: names::FLOWS, ghosts: names::GHOSTS }
    }
}

/// Which CPUs decrypt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Steer {
    /// The CPUs, one at least.
    pub cpus: BTreeSet<u32>,
    /// Packets that wait for one of them at most, on their way there.
    pub queue: u32,
}

/// A tunnel and what was derived from it.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Its name, unique.
    pub name: String,
    /// Tunnel or transport mode.
    pub mode: SaMode,
    /// Our outer address.
    pub local: IpAddr,
    /// The peer's outer address, of the same family.
    pub remote: IpAddr,
    /// Request id that ties policies to SAs, unique.
    pub reqid: u32,
    /// XFRM interface; 0 is none.
    pub if_id: u32,
    /// What is protected: (ours, theirs), each pair of one family. The two hosts in transport mode.
    pub networks: Vec<(Net, Net)>,
    /// Upper-layer protocol that is protected; 0 is any.
    pub protocol: u8,
    /// The inbound SA, then the outbound one.
    pub sas: Vec<KeyedSa>,
    /// How often a keepalive goes to the peer, if the tunnel is in UDP; `None` for never.
    pub keepalive: Option<Duration>,
    /// Its own XFRM interface with addresses and routes, if it has one.
    pub parts: Vec<NamedPart>,
    /// `out`, `in` and `fwd` for each pair of networks.
    pub policies: Vec<NamedPolicy>,
}
