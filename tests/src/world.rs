//! What the datapath is told before a frame comes: SAs, own addresses, policies, settings.
//!
//! We are the gateway 10.55.55.1 (fd00:55::1) with 192.168.1.0/24 behind us; the peer is 10.66.66.1 (fd00:66::1) with
//! 192.168.2.0/24. Both SAs have the SPI of the lab.

use crate::kernel::Constants;
use esp_common::{
    Addr, FlowKey, Guard, InnerKey, Mode, Prefix, Rule, RuleAction, RuleRange, RuleSet, RuleTable, SaEntry,
    Settings, Spi, Wire,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// The SPI of the lab, in both directions.
pub const SPI: u32 = 0x6942_7567;
/// Our address.
pub const US: &str = "10.55.55.1";
/// The peer's.
pub const PEER: &str = "10.66.66.1";
/// Our IPv6 address.
pub const US6: &str = "fd00:55::1";
/// The peer's.
pub const PEER6: &str = "fd00:66::1";
/// A host that is neither.
pub const OTHER: &str = "10.99.99.9";
/// A number without an order, the same each time, and another one for each (a finaliser of MurmurHash3).
#[must_use]
pub const fn scattered(number: u32) -> u32 {
    let mixed = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    mixed ^ mixed >> 16
}

/// The tunnel of the lab's SAs.
pub const TUNNEL: u32 = 7;
/// The request id of the lab's SAs.
pub const REQID: u32 = 0x4553_0001;

/// All that a verdict depends on beside the frame.
#[derive(Clone, Default, Debug)]
pub struct World {
    /// How the programs stand.
    pub constants: Constants,
    /// Settings; the sets are those of the rules.
    pub settings: Settings,
    /// SAs.
    pub sas: BTreeMap<FlowKey, SaEntry>,
    /// Our addresses.
    pub locals: BTreeSet<Addr>,
    /// Rules of `in` and `fwd`.
    pub rules_in: Vec<Rule>,
    /// Rules of `out`.
    pub rules_out: Vec<Rule>,
    /// Selectors of SAs.
    pub inner: BTreeMap<InnerKey, RuleRange>,
    /// Their rules.
    pub inner_rules: Vec<Rule>,
}

impl World {
    /// The lab's SAs, no policies, all guards enforcing on a picture that may be trusted.
    #[must_use]
    pub fn lab() -> Self {
        let entry = SaEntry { tunnel: TUNNEL, flags: 0 };
        let bare = SaEntry::default();
        let sas = [(US, entry), (PEER, entry), (US6, bare), (PEER6, bare)];
        let settings = Settings {
            abi: esp_common::ABI_VERSION,
            synced: 1,
            lease_ns: u64::MAX,
            modes: [Mode::Enforce.as_raw(); 4],
            ..Settings::default()
        };
        Self {
            settings,
            sas: sas.map(|(dst, entry)| (FlowKey::new(addr(dst), Spi::new(SPI)), entry)).into(),
            locals: [US, US6].map(addr).into(),
            ..Self::default()
        }
    }

    /// Ports of ESP in UDP, and SPIs of ESP echo.
    #[must_use]
    pub const fn wire(mut self, natt_ports: [u16; 4], ping_spis: [u8; 4]) -> Self {
        self.settings.wire = Wire { natt_ports, ping_spis, pad: [0; 4] };
        self
    }

    /// All guards in one mode.
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.settings.modes = [mode.as_raw(); 4];
        self
    }

    /// One guard in a mode.
    #[must_use]
    pub fn guard(mut self, guard: Guard, mode: Mode) -> Self {
        self.settings.modes[usize::from(guard.as_raw())] = mode.as_raw();
        self
    }

    /// The picture is not complete.
    #[must_use]
    pub const fn unsynced(mut self) -> Self {
        self.settings.synced = 0;
        self
    }

    /// The agent was not heard of for too long.
    #[must_use]
    pub const fn expired(mut self) -> Self {
        self.settings.lease_ns = 1;
        self
    }

    /// No XDP program: TC judges the outer packet.
    #[must_use]
    pub const fn outer_at_tc(mut self) -> Self {
        self.constants.outer_at_tc = true;
        self
    }

    /// Frames start with the IP header.
    #[must_use]
    pub const fn no_ethernet(mut self) -> Self {
        self.constants.no_ethernet = true;
        self
    }

    /// One more SA, without a tunnel.
    #[must_use]
    pub fn sa(mut self, dst: &str, spi: u32) -> Self {
        self.sas.insert(FlowKey::new(addr(dst), Spi::new(spi)), SaEntry::default());
        self
    }

    /// The rules for what comes in, in the kernel's order.
    #[must_use]
    pub fn rules_in(mut self, rules: impl Into<Vec<Rule>>) -> Self {
        self.rules_in = rules.into();
        self.settings.rules_in = set(RuleTable::In, &self.rules_in);
        self
    }

    /// The rules for what leaves, in the kernel's order.
    #[must_use]
    pub fn rules_out(mut self, rules: impl Into<Vec<Rule>>) -> Self {
        self.rules_out = rules.into();
        self.settings.rules_out = set(RuleTable::Out, &self.rules_out);
        self
    }

    /// The selectors of the SA that packets from the peer come through.
    #[must_use]
    pub fn inner(mut self, rules: impl Into<Vec<Rule>>) -> Self {
        let (rules, first) = (rules.into(), self.inner_rules.len());
        self.inner.insert(through(PEER), range(first, rules.len()));
        self.inner_rules.extend(rules);
        self
    }
}

/// The key of the lab's SA from `peer`, as TC learns of it.
#[must_use]
pub fn through(peer: &str) -> InnerKey {
    InnerKey { remote: addr(peer), spi: Spi::new(SPI), reqid: REQID }
}

/// An address.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn addr(text: &str) -> Addr {
    text.parse::<IpAddr>().expect("an address").into()
}

/// The first bank of the table, if it has rules.
fn set(table: RuleTable, rules: &[Rule]) -> RuleSet {
    if rules.is_empty() {
        return RuleSet::default();
    }
    RuleSet { number: RuleSet::default().other(table) + 1, count: rules.len() as u32 }
}

fn range(first: usize, count: usize) -> RuleRange {
    RuleRange { first: first as u32, count: count as u32 }
}

/// A rule of any protocol from the network `src` to `dst`.
///
/// # Panics
/// When one of them is no network.
#[must_use]
pub fn rule(dir: u8, action: RuleAction, src: &str, dst: &str, policy: u32) -> Rule {
    let family = if dst.contains(':') { 6 } else { 4 };
    let ports = (0, 0);
    Rule {
        src: prefix(src),
        dst: prefix(dst),
        sport: ports.0,
        sport_mask: ports.1,
        dport: ports.0,
        dport_mask: ports.1,
        proto: 0,
        proto_mask: 0,
        family,
        verdict: Rule::verdict(dir, action),
        policy,
    }
}

/// The rule for one protocol and destination port (or ICMP code); no port is any.
#[must_use]
pub fn only(rule: Rule, proto: u8, dport: Option<u16>) -> Rule {
    let (dport, dport_mask) = dport.map_or((0, 0), |port| (port, u16::MAX));
    Rule { proto, proto_mask: u8::MAX, dport, dport_mask, ..rule }
}

/// The rule for one source port (or ICMP type).
#[must_use]
pub const fn from_port(rule: Rule, sport: u16) -> Rule {
    Rule { sport, sport_mask: u16::MAX, ..rule }
}

fn prefix(text: &str) -> Prefix {
    let (ip, len) = text.split_once('/').expect("a network");
    Prefix::new(ip.parse().expect("an address"), len.parse().expect("a length"))
}
