//! The reference lab as server-a has it, for tests.

use super::Observed;
use crate::config::desired::{Desired, KeyedSa, NamedPart, NamedPolicy};
use crate::secret::Secret;
use crate::xfrm::Xfrm as _;
use crate::xfrm::fake::FakeXfrm;
use crate::xfrm::interface::{ObservedLink, Part, XfrmLink};
use crate::xfrm::model::*;
use esp_common::Spi;
use std::net::IpAddr;

pub(crate) const AUTH_KEY: [u8; 16] =
    [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
pub(crate) const ENC_KEY: [u8; 16] =
    [0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10];
const REQID: u32 = 0x4553_1234;

/// As a kernel starts.
pub(crate) const ACCEPT: DefaultPolicy = DefaultPolicy {
    inbound: PolicyAction::Allow,
    forward: PolicyAction::Allow,
    outbound: PolicyAction::Allow,
};

pub(crate) fn lab_keys() -> SaKeys {
    keys(&AUTH_KEY, &ENC_KEY)
}

pub(crate) fn keys(auth: &[u8], enc: &[u8]) -> SaKeys {
    SaKeys { aead: None, auth: Some(Secret::new(auth.to_vec())), enc: Some(Secret::new(enc.to_vec())) }
}

pub(crate) fn lab_sa_out() -> Sa {
    sa("10.55.55.1", "10.66.66.1", 0x6942_7567, SaDir::Out)
}

pub(crate) fn sa(src: &str, dst: &str, spi: u32, dir: SaDir) -> Sa {
    let auth = Algo { name: "hmac(sha256)".into(), key_bits: 128, icv_bits: 96 };
    let enc = Algo { name: "cbc(aes)".into(), key_bits: 128, icv_bits: 0 };
    Sa {
        reqid: REQID,
        suite: Suite { auth: Some(auth), enc: Some(enc), ..Suite::default() },
        keys: lab_keys().print(),
        replay_window: if dir == SaDir::In { 32 } else { 0 },
        dir: Some(dir),
        ..Sa::bare(
            SaId { dst: ip(dst), spi: Spi::new(spi), proto: ESP, mark: Mark::default() },
            ip(src),
            Mode::Tunnel,
        )
    }
}

pub(crate) fn policy(dir: PolicyDir, src: (&str, u8), dst: (&str, u8), ends: (&str, &str)) -> Policy {
    let selector = Selector {
        src: Net { addr: ip(src.0), len: src.1 },
        dst: Net { addr: ip(dst.0), len: dst.1 },
        proto: 0,
        sport: Port::default(),
        dport: Port::default(),
        ifindex: 0,
    };
    let template = Template {
        src: ip(ends.0),
        dst: ip(ends.1),
        spi: Spi::new(0),
        proto: ESP,
        mode: Mode::Tunnel,
        reqid: REQID,
        optional: false,
    };
    Policy {
        id: PolicyId { selector, dir, mark: Mark::default(), if_id: 0 },
        priority: 371_328,
        action: PolicyAction::Allow,
        flags: 0,
        templates: vec![template],
        limits: Limits::default(),
        offload: None,
    }
}

pub(crate) fn lab_policies() -> Vec<Policy> {
    let (near, far) = (("192.168.1.0", 24), ("192.168.2.0", 24));
    let (out, back) = (("10.55.55.1", "10.66.66.1"), ("10.66.66.1", "10.55.55.1"));
    vec![
        policy(PolicyDir::Out, near, far, out),
        policy(PolicyDir::Fwd, far, near, back),
        policy(PolicyDir::In, far, near, back),
    ]
}

pub(crate) fn keyed(sa: Sa, tunnel: Option<&str>) -> KeyedSa {
    KeyedSa { sa, keys: lab_keys(), tunnel: tunnel.map(Into::into), device: None }
}

pub(crate) fn lab() -> Desired {
    let sas = [lab_sa_out(), sa("10.66.66.1", "10.55.55.1", 0x6942_7567, SaDir::In)];
    let named = |policy: Policy| NamedPolicy {
        name: format!("site-b {}", super::text::dir_name(policy.id.dir)),
        policy,
        tunnel: Some("site-b".into()),
        device: None,
    };
    Desired {
        sas: sas.into_iter().map(|sa| keyed(sa, Some("site-b"))).collect(),
        policies: lab_policies().into_iter().map(named).collect(),
        ..Desired::default()
    }
}

pub(crate) fn observed_sa(sa: &Sa, added_s: u64) -> ObservedSa {
    ObservedSa {
        sa: sa.clone(),
        larval: false,
        bytes: 0,
        packets: 0,
        added_s,
        used_s: 0,
        replay_drops: 0,
        integrity_failed: 0,
        now: SaStart::default(),
    }
}

pub(crate) fn observed_policy(policy: &Policy, index: u32, added_s: u64) -> ObservedPolicy {
    ObservedPolicy { policy: policy.clone(), index, added_s, used_s: 0 }
}

/// What the kernel has once `desired` is in place.
pub(crate) fn observed(desired: &Desired) -> Observed {
    let policies = desired.policies.iter().zip(1_u32..);
    Observed {
        sas: desired.sas.iter().map(|keyed| observed_sa(&keyed.sa, 1_000)).collect(),
        policies: policies.map(|(named, n)| observed_policy(&named.policy, n * 8, 1_000)).collect(),
        links: links(desired),
        default_policy: Some(ACCEPT),
    }
}

fn links(desired: &Desired) -> Vec<ObservedLink> {
    let mut kernel = FakeXfrm::new();
    desired.parts.iter().for_each(|named| kernel.add_part(&named.part).unwrap());
    kernel.links
}

/// The lab with an XFRM interface, an address of either family and a route.
pub(crate) fn routed() -> Desired {
    let link = || "ipsec0".to_owned();
    let net = |addr: &str, len| Net { addr: ip(addr), len };
    let parts = [
        Part::Link(XfrmLink { name: link(), if_id: 7, mtu: 1400 }),
        Part::Address { link: link(), net: net("10.255.0.1", 30) },
        Part::Address { link: link(), net: net("fd00:255::1", 64) },
        Part::Route { link: link(), dst: net("192.168.2.0", 24), metric: 0 },
    ];
    let parts = parts.into_iter().map(|part| NamedPart { part, tunnel: "site-b".into() });
    Desired { parts: parts.collect(), ..lab() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
