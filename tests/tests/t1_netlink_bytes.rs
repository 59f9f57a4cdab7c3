//! T1: the messages that add and delete SAs and policies, byte for byte as iproute2 sends them.
//!
//! `golden/netlink/capture.py` wrote the expected bytes from what `strace` saw `ip` send.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect, in its helpers too")]

use esp_agent::secret::Secret;
use esp_agent::xfrm::decode;
use esp_agent::xfrm::encode::{self, EncodeError};
use esp_agent::xfrm::model::{
    AH, Algo, COMP, DefaultPolicy, ESP, Encap, Limits, Mark, Mode, Net, Policy, PolicyAction, PolicyDir,
    PolicyId, Port, Sa, SaDir, SaId, SaKeys, SaStart, Selector, Suite, Template,
};
use esp_common::Spi;
use std::path::Path;

const LAB_AUTH: &str = "0123456789abcdef0123456789abcdef";
const LAB_ENC: &str = "fedcba9876543210fedcba9876543210";
const GCM_KEY: &str = "000102030405060708090a0b0c0d0e0f10111213";
const CHACHA_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223";

#[test]
fn cbc_with_sha256_of_the_lab() {
    let (sa, keys) = lab();
    assert_bytes("sa_cbc", &encode::new_sa(&sa, &keys).unwrap());
}

/// The lab's own command names `sha256` and `aes`, and sends `XFRMA_ALG_AUTH`: the kernel then chooses the
/// truncation (96 bits) and the canonical names. We send both, so that what it shows is what was sent. All else
/// is equal.
#[test]
fn the_command_of_the_lab_differs_in_names_and_truncation_only() {
    let (theirs, ours) = (golden("sa_lab"), golden("sa_cbc"));
    let fixed = 16 + 224;
    assert_eq!(theirs[4..fixed], ours[4..fixed]);
    let mut rewritten = Vec::new();
    rewritten.extend(92_u16.to_ne_bytes().into_iter().chain(20_u16.to_ne_bytes()));
    rewritten.extend(name("hmac(sha256)").into_iter().chain(theirs[fixed + 68..fixed + 72].iter().copied()));
    rewritten.extend(96_u32.to_ne_bytes().into_iter().chain(theirs[fixed + 72..fixed + 88].iter().copied()));
    rewritten.extend(&theirs[fixed + 88..fixed + 92]);
    rewritten.extend(name("cbc(aes)").iter().chain(&theirs[fixed + 88 + 68..]));
    assert_eq!(rewritten, ours[fixed..]);
}

#[test]
fn gcm() {
    let (sa, keys) = aead("rfc4106(gcm(aes))", GCM_KEY);
    let sa = Sa { id: id("10.66.66.1", 0x1000), reqid: 7, flags: 32, ..sa };
    assert_bytes("sa_gcm", &encode::new_sa(&sa, &keys).unwrap());
}

#[test]
fn chacha20_poly1305_in_transport_mode_over_ipv6() {
    let (sa, keys) = aead("rfc7539esp(chacha20,poly1305)", CHACHA_KEY);
    let sa = Sa {
        id: id("fd00::2", 0x1001),
        src: addr("fd00::1"),
        mode: Mode::Transport,
        reqid: 8,
        replay_window: 16,
        ..sa
    };
    assert_bytes("sa_chacha", &encode::new_sa(&sa, &keys).unwrap());
}

#[test]
fn extended_sequence_numbers() {
    let (sa, keys) = aead("rfc4106(gcm(aes))", GCM_KEY);
    let sa = Sa { id: id("10.66.66.1", 0x1002), reqid: 9, replay_window: 128, esn: true, ..sa };
    assert_bytes("sa_esn", &encode::new_sa(&sa, &keys).unwrap());
}

#[test]
fn a_window_over_32_without_esn() {
    let (sa, keys) = aead("rfc4106(gcm(aes))", GCM_KEY);
    let sa = Sa { id: id("10.66.66.1", 0x1003), reqid: 9, replay_window: 100, ..sa };
    assert_bytes("sa_window", &encode::new_sa(&sa, &keys).unwrap());
}

#[test]
fn every_other_attribute() {
    let (sa, keys) = aead("rfc4106(gcm(aes))", GCM_KEY);
    let mark = Mark { value: 0x11, mask: 0xff };
    let limits = Limits {
        soft_add_s: Some(100),
        hard_add_s: Some(200),
        hard_bytes: Some(5000),
        soft_packets: Some(9),
        ..Limits::default()
    };
    let sa = Sa {
        id: SaId { mark, ..id("10.66.66.1", 0x1004) },
        reqid: 0,
        replay_window: 0,
        if_id: 42,
        flags: 1,
        extra_flags: 1,
        limits,
        encap: Some(Encap { kind: 2, sport: 4500, dport: 4501, original: None }),
        selector: Some(Selector {
            proto: 17,
            sport: Port { port: 53, mask: 0xffff },
            ..selector("192.168.1.0", "192.168.2.0", 24)
        }),
        ..sa
    };
    assert_bytes("sa_encap", &encode::new_sa(&sa, &keys).unwrap());
}

#[test]
fn every_flag_and_mark_and_first_sequence_numbers() {
    let (sa, keys) = aead("rfc4106(gcm(aes))", GCM_KEY);
    let host = |src, dst| Some(selector(src, dst, 32));
    let sa = Sa {
        id: id("10.66.66.1", 0x1005),
        mode: Mode::Beet,
        reqid: 9,
        flags: 0x7f,
        extra_flags: 3,
        output_mark: Mark { value: 0x11, mask: 0xff },
        tfc_pad: 600,
        start: SaStart { oseq: 9, seq: 7 },
        selector: host("192.168.1.1", "192.168.2.1"),
        ..sa
    };
    // Behind 0 the whole window counts as received; iproute2 leaves it open to replays.
    let mut theirs = golden("sa_options");
    let bitmap = 16 + 224 + 96 + 12;
    assert_eq!(theirs[bitmap..bitmap + 4], [0; 4]);
    theirs[bitmap..bitmap + 4].fill(0xff);
    assert_eq!(*encode::new_sa(&sa, &keys).unwrap(), theirs);
    let (sa, keys) = aead("rfc4106(gcm(aes))", GCM_KEY);
    let start = SaStart { oseq: 0x2_0000_0009, seq: 0x1_0000_0007 };
    let sa = Sa { id: id("10.66.66.1", 0x1006), reqid: 9, replay_window: 128, esn: true, start, ..sa };
    let mut theirs = golden("sa_sequence");
    let attribute = theirs.len() - 28;
    theirs.extend([0xff; 16]);
    theirs[..4].copy_from_slice(&380_u32.to_ne_bytes());
    theirs[attribute..attribute + 2].copy_from_slice(&44_u16.to_ne_bytes());
    assert_eq!(*encode::new_sa(&sa, &keys).unwrap(), theirs);
    let narrow = encode::new_sa(&Sa { esn: false, ..sa }, &keys).unwrap_err();
    assert_eq!(narrow, EncodeError::Sequence);
}

#[test]
fn the_other_protocols() {
    let (sa, keys) = lab();
    let other = |proto, spi| SaId { proto, ..id("10.66.66.1", spi) };
    let base = Sa { reqid: 9, mode: Mode::Transport, ..sa };
    let auth = Some(Algo { name: "hmac(sha256)".into(), key_bits: 128, icv_bits: 128 });
    let suite = Suite { auth, ..Suite::default() };
    let ah = Sa { id: other(AH, 0x1007), replay_window: 32, suite, ..base.clone() };
    assert_bytes("sa_ah", &encode::new_sa(&ah, &keys).unwrap());
    let comp = Some(Algo { name: "deflate".into(), key_bits: 0, icv_bits: 0 });
    let suite = Suite { comp, ..Suite::default() };
    let comp = Sa { id: other(COMP, 0x1008), suite, ..base };
    assert_bytes("sa_comp", &encode::new_sa(&comp, &keys).unwrap());
}

#[test]
fn change_an_sa_and_ask_for_one() {
    let (sa, keys) = aead("rfc4106(gcm(aes))", GCM_KEY);
    let limits = Limits { hard_packets: Some(77), ..Limits::NONE };
    let sa = Sa { id: id("10.66.66.1", 0x1000), reqid: 7, flags: 32, limits, ..sa };
    assert_bytes("sa_update", &encode::update_sa(&sa, &keys).unwrap());
    // iproute2 names the source here too, and asks for no ack.
    let id = SaId { mark: Mark { value: 0x11, mask: 0xff }, ..id("10.66.66.1", 0x1004) };
    let mut theirs = golden("sa_get");
    theirs.drain(40..60);
    (theirs[0], theirs[6]) = (theirs[0] - 20, 5);
    assert_eq!(*encode::get_sa(&id), theirs);
}

#[test]
fn the_default_policy() {
    let (inbound, forward, outbound) = (PolicyAction::Block, PolicyAction::Block, PolicyAction::Allow);
    let blocked = DefaultPolicy { inbound, forward, outbound };
    assert_bytes("default_set", &encode::set_default(blocked));
    assert_eq!(decode::default_policy(&golden("default_set")[16..]), Ok(blocked));
    let mut theirs = golden("default_get");
    theirs[6] = 5;
    assert_eq!(*encode::get_default(), theirs);
    for broken in [&[1, 1][..], &[1, 3, 1], &[0, 1, 1]] {
        assert!(decode::default_policy(broken).is_err(), "{broken:?}");
    }
}

/// iproute2 names the source too (`XFRMA_SRCADDR`); the kernel looks at it only for protocols without an SPI
/// (`xfrm_user_state_lookup`).
#[test]
fn delete_an_sa() {
    let id = SaId { mark: Mark { value: 0x11, mask: 0xff }, ..id("10.66.66.1", 0x1004) };
    let mut theirs = golden("sa_delete");
    let source: Vec<u8> = theirs.drain(40..60).collect();
    assert_eq!(source[..8], [20, 0, 13, 0, 10, 55, 55, 1]);
    theirs[0] -= 20;
    assert_eq!(*encode::delete_sa(&id), theirs);
}

/// iproute2 6.1 does not know `XFRMA_SA_DIR` (Linux 6.10) and offload needs a device, so these are by the header.
#[test]
fn direction_is_the_last_attribute() {
    let (sa, keys) = lab();
    let plain = encode::new_sa(&sa, &keys).unwrap();
    for (dir, number) in [(SaDir::In, 1), (SaDir::Out, 2)] {
        let sa = Sa { dir: Some(dir), ..sa.clone() };
        let message = encode::new_sa(&sa, &keys).unwrap();
        assert_eq!(message[4..plain.len()], plain[4..]);
        assert_eq!(message[plain.len()..], [5, 0, 33, 0, number, 0, 0, 0]);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let (sa, keys) = lab();
    let refused = |sa: Sa| encode::new_sa(&sa, &keys).unwrap_err();
    let suite = |change: fn(&mut Suite)| {
        let mut sa = sa.clone();
        change(&mut sa.suite);
        sa
    };
    let long = refused(suite(|suite| suite.enc.as_mut().unwrap().name = "x".repeat(64)));
    assert_eq!(long, EncodeError::LongName("x".repeat(64)));
    let short_key = refused(suite(|suite| suite.enc.as_mut().unwrap().key_bits = 256));
    assert_eq!(short_key, EncodeError::KeyLength { algorithm: "cbc(aes)".into(), said: 256, given: 16 });
    let window = refused(Sa { replay_window: 4097, ..sa.clone() });
    assert_eq!(window, EncodeError::Window(4097));
    let mixed = refused(Sa { src: addr("fd00::1"), ..sa.clone() });
    assert_eq!(mixed, EncodeError::MixedFamilies);
}

#[test]
fn policy_of_the_lab() {
    assert_bytes("policy_out", &encode::new_policy(&lab_policy()).unwrap());
}

#[test]
fn policy_with_every_attribute() {
    assert_bytes("policy_fwd", &encode::update_policy(&fwd_policy()).unwrap());
    assert_bytes("policy_delete", &encode::delete_policy(&fwd_policy().id).unwrap());
}

#[test]
fn policy_in_transport_mode() {
    let id = PolicyId {
        selector: selector("10.55.55.1", "10.66.66.1", 32),
        dir: PolicyDir::In,
        ..lab_policy().id
    };
    let template = Template { mode: Mode::Transport, reqid: 3, ..template("0.0.0.0", "0.0.0.0") };
    let policy = Policy { id, templates: vec![template], ..lab_policy() };
    // Without addresses iproute2 leaves the template's family 0 and the kernel puts the selector's in
    // (`validate_tmpl`); we send it.
    let mut theirs = golden("policy_transport");
    let family = 16 + 168 + 4 + 24;
    assert_eq!(theirs[family..family + 2], [2, 0]);
    theirs[family] = 2;
    assert_eq!(*encode::new_policy(&policy).unwrap(), theirs);
}

#[test]
fn policies_for_icmp_types_interfaces_and_gre_keys() {
    let full = |port| Port { port, mask: u16::MAX };
    let nets = |proto, sport, dport| Selector {
        dst: Net { addr: addr("10.2.0.0"), len: 16 },
        proto,
        sport: full(sport),
        dport: full(dport),
        ..selector("10.1.0.0", "10.1.0.0", 16)
    };
    let mut comp = Template { proto: COMP, mode: Mode::Transport, ..template("0.0.0.0", "0.0.0.0") };
    (comp.reqid, comp.optional) = (3, true);
    let tunnel = Template { reqid: 7, ..template("10.55.55.1", "10.66.66.1") };
    let id = PolicyId { selector: Selector { ifindex: 1, ..nets(1, 8, 0) }, ..lab_policy().id };
    let icmp = Policy {
        id,
        priority: 7,
        flags: 2,
        limits: Limits { hard_add_s: Some(60), ..Limits::NONE },
        templates: vec![comp, tunnel],
        ..lab_policy()
    };
    // As in transport mode, iproute2 leaves a family 0.
    let mut theirs = golden("policy_icmp");
    theirs[16 + 168 + 4 + 24] = 2;
    assert_eq!(*encode::new_policy(&icmp).unwrap(), theirs);
    let id = PolicyId { selector: nets(47, 1, 2), ..lab_policy().id };
    let gre = Policy { id, action: PolicyAction::Block, templates: Vec::new(), ..lab_policy() };
    assert_bytes("policy_gre", &encode::new_policy(&gre).unwrap());
}

#[test]
fn policy_that_blocks() {
    let mut id = lab_policy().id;
    id.selector.src = Net { addr: addr("10.0.0.0"), len: 8 };
    id.selector.dst = Net { addr: addr("0.0.0.0"), len: 0 };
    let policy =
        Policy { id, action: PolicyAction::Block, priority: 5, templates: Vec::new(), ..lab_policy() };
    assert_bytes("policy_block", &encode::new_policy(&policy).unwrap());
}

#[test]
fn seven_templates_are_refused() {
    let policy = Policy { templates: vec![template("10.55.55.1", "10.66.66.1"); 7], ..lab_policy() };
    assert_eq!(encode::new_policy(&policy).unwrap_err(), EncodeError::Templates(7));
}

fn lab() -> (Sa, SaKeys) {
    let algo = |name: &str, icv_bits| Some(Algo { name: name.into(), key_bits: 128, icv_bits });
    let suite = Suite { auth: algo("hmac(sha256)", 96), enc: algo("cbc(aes)", 0), ..Suite::default() };
    let keys = SaKeys { aead: None, auth: Some(secret(LAB_AUTH)), enc: Some(secret(LAB_ENC)) };
    let sa = Sa {
        reqid: 0x6942_7567,
        suite,
        keys: keys.print(),
        ..Sa::bare(id("10.66.66.1", 0x6942_7567), addr("10.55.55.1"), Mode::Tunnel)
    };
    (sa, keys)
}

fn aead(name: &str, key: &str) -> (Sa, SaKeys) {
    let key_bits = u32::try_from(key.len() * 4).unwrap();
    let aead = Some(Algo { name: name.into(), key_bits, icv_bits: 128 });
    let keys = SaKeys { aead: Some(secret(key)), ..SaKeys::default() };
    let sa =
        Sa { suite: Suite { aead, ..Suite::default() }, keys: keys.print(), replay_window: 32, ..lab().0 };
    (sa, keys)
}

fn lab_policy() -> Policy {
    let id = PolicyId {
        selector: selector("192.168.1.0", "192.168.2.0", 24),
        dir: PolicyDir::Out,
        mark: Mark::default(),
        if_id: 0,
    };
    Policy { templates: vec![template("10.55.55.1", "10.66.66.1")], ..Policy::bare(id) }
}

fn fwd_policy() -> Policy {
    let base = selector("fd01::", "fd02::", 64);
    let template =
        Template { spi: Spi::new(0x1000), reqid: 0, optional: true, ..template("10.66.66.1", "10.55.55.1") };
    Policy {
        id: PolicyId {
            selector: Selector { proto: 6, dport: Port { port: 443, mask: 0xffff }, ..base },
            dir: PolicyDir::Fwd,
            mark: Mark { value: 5, mask: 0xf },
            if_id: 42,
        },
        priority: 1000,
        flags: 1,
        templates: vec![template],
        ..lab_policy()
    }
}

fn template(src: &str, dst: &str) -> Template {
    Template {
        src: addr(src),
        dst: addr(dst),
        spi: Spi::new(0),
        proto: ESP,
        mode: Mode::Tunnel,
        reqid: 0x6942_7567,
        optional: false,
    }
}

fn selector(src: &str, dst: &str, len: u8) -> Selector {
    Selector::between(Net { addr: addr(src), len }, Net { addr: addr(dst), len })
}

fn id(dst: &str, spi: u32) -> SaId {
    SaId::esp(addr(dst), Spi::new(spi))
}

fn addr(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
}

fn secret(hex: &str) -> Secret {
    Secret::new(unhex(hex))
}

fn name(text: &str) -> [u8; 64] {
    let mut name = [0; 64];
    name[..text.len()].copy_from_slice(text.as_bytes());
    name
}

#[track_caller]
fn assert_bytes(file: &str, message: &[u8]) {
    let rows = |bytes: &[u8]| bytes.chunks(16).map(|row| format!("{row:02x?}")).collect::<Vec<_>>();
    assert_eq!(rows(message), rows(&golden(file)), "{file}");
}

fn golden(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/netlink/{file}.hex"));
    let text = std::fs::read_to_string(path).unwrap();
    unhex(&text.lines().filter(|line| !line.starts_with('#')).collect::<String>())
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
