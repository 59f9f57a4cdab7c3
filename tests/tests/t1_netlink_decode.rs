//! T0 and T1: what the kernel shows becomes model values; whatever else arrives never panics and never leaks.
//!
//! `golden/netlink/capture_events.py` took the events from Linux 6.18; SAs with keys are those that
//! `t1_netlink_bytes.rs` proves against iproute2: a dump has the same structures.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect, in its helpers too")]

use esp_agent::nl::ack;
use esp_agent::nl::fields::DecodeError;
use esp_agent::nl::frame::Frames;
use esp_agent::secret::{KeyPrint, Secret};
use esp_agent::xfrm::decode::{Event, default_policy, event, policy, sa};
use esp_agent::xfrm::model::{
    AH, Algo, COMP, ESP, Encap, Limits, Mark, Mode, Net, ObservedSa, PolicyDir, PolicyId, Port, SaDir, SaId,
    SaKeys, SaStart, Selector,
};
use esp_common::Spi;
use proptest::prelude::*;
use std::path::Path;

#[test]
fn an_sa_with_keys() {
    let seen = decoded_sa("sa_cbc");
    assert!(!seen.larval);
    let algo = |name: &str, icv_bits| Some(Algo { name: name.into(), key_bits: 128, icv_bits });
    assert_eq!((&seen.sa.suite.auth, &seen.sa.suite.enc), (&algo("hmac(sha256)", 96), &algo("cbc(aes)", 0)));
    assert_eq!((&seen.sa.suite.aead, &seen.sa.suite.comp), (&None, &None));
    let secret = |hex: &str| Some(Secret::new(unhex(hex)));
    let keys = SaKeys {
        aead: None,
        auth: secret("0123456789abcdef0123456789abcdef"),
        enc: secret("fedcba9876543210fedcba9876543210"),
    };
    assert_eq!(seen.sa.keys, keys.print());
    let spi = Spi::new(0x6942_7567);
    assert_eq!(seen.sa.id, SaId { dst: addr("10.66.66.1"), spi, proto: ESP, mark: Mark::default() });
    assert_eq!((seen.sa.src, seen.sa.reqid, seen.sa.mode), (addr("10.55.55.1"), 0x6942_7567, Mode::Tunnel));
    assert_eq!((seen.sa.selector, seen.sa.limits), (None, Limits::default()));
}

#[test]
fn an_sa_with_every_attribute() {
    let seen = decoded_sa("sa_encap").sa;
    assert_eq!(seen.id.mark, Mark { value: 0x11, mask: 0xff });
    assert_eq!((seen.if_id, seen.flags, seen.extra_flags), (42, 1, 1));
    assert_eq!(seen.encap, Some(Encap { kind: 2, sport: 4500, dport: 4501, original: None }));
    let limits = Limits {
        hard_bytes: Some(5000),
        soft_packets: Some(9),
        soft_add_s: Some(100),
        hard_add_s: Some(200),
        ..Limits::default()
    };
    assert_eq!(seen.limits, limits);
    let selector = Selector {
        src: Net { addr: addr("192.168.1.0"), len: 24 },
        dst: Net { addr: addr("192.168.2.0"), len: 24 },
        proto: 17,
        sport: Port { port: 53, mask: 0xffff },
        dport: Port::default(),
        ifindex: 0,
    };
    assert_eq!(seen.selector, Some(selector));
}

#[test]
fn an_sa_with_every_flag_and_the_numbers_it_has_come_to() {
    let seen = decoded_sa("sa_options");
    assert_eq!(
        (seen.sa.mode, seen.sa.flags, seen.sa.extra_flags, seen.sa.tfc_pad),
        (Mode::Beet, 0x7f, 3, 600)
    );
    assert_eq!(seen.sa.output_mark, Mark { value: 0x11, mask: 0xff });
    assert_eq!(seen.now, SaStart { oseq: 9, seq: 7 });
    let wide = decoded_sa("sa_sequence").now;
    assert_eq!(wide, SaStart { oseq: 0x2_0000_0009, seq: 0x1_0000_0007 });
    let [ah, comp] = ["sa_ah", "sa_comp"].map(|file| decoded_sa(file).sa);
    assert_eq!((ah.id.proto, ah.suite.auth.map(|auth| auth.icv_bits)), (AH, Some(128)));
    assert_eq!((comp.id.proto, comp.suite.comp.map(|comp| comp.name)), (COMP, Some("deflate".into())));
}

#[test]
fn windows_of_both_structures() {
    let windows = ["sa_gcm", "sa_chacha", "sa_esn", "sa_window"].map(|file| {
        let seen = decoded_sa(file).sa;
        (seen.replay_window, seen.esn, seen.flags)
    });
    assert_eq!(windows, [(32, false, 32), (16, false, 0), (128, true, 0), (100, false, 0)]);
}

#[test]
fn the_kernels_selector_for_all_is_none() {
    let mut message = golden("sa_gcm");
    message[16 + 40] = 2;
    assert_eq!(sa(&message[16..]).unwrap().sa.selector, None);
}

#[test]
fn hidden_keys_agree_with_all() {
    let plain = decoded_sa("sa_gcm");
    let mut message = golden("sa_gcm");
    let end = message.len();
    message[end - 20..].fill(0);
    let hidden = sa(&message[16..]).unwrap();
    assert_eq!(hidden.sa.keys, KeyPrint::Hidden);
    assert!(hidden.sa.same_as(&plain.sa) && plain.sa.same_as(&hidden.sa));
    message[end - 1] = 1;
    assert!(!sa(&message[16..]).unwrap().sa.same_as(&plain.sa));
}

#[test]
fn no_key_is_printed() {
    for (file, key) in [("sa_cbc", "0123456789abcdef"), ("sa_gcm", "0001020304050607")] {
        let text = format!("{:?}", decoded_sa(file));
        let list = format!("{:?}", unhex(key));
        let list = list.trim_matches(['[', ']']);
        assert!(!text.contains(key) && !text.contains(list), "{text}");
    }
}

#[test]
fn events_of_policies() {
    let Some(Event::PolicyAdded(added)) = decoded("event_newpolicy") else { panic!("no policy added") };
    assert_eq!(added.policy.id, marked_policy());
    assert_eq!(added.policy.templates.len(), 1);
    assert_eq!(added.policy.templates[0].reqid, 7);
    let deleted = Event::PolicyDeleted { index: added.index, id: marked_policy() };
    assert_eq!(decoded("event_delpolicy"), Some(deleted));
    let Some(Event::PolicyUpdated(updated)) = decoded("event_updpolicy") else { panic!("no policy updated") };
    assert_eq!(updated.policy.limits.hard_add_s, Some(1));
    let expired = Event::PolicyExpired { index: updated.index, id: marked_policy(), hard: true };
    assert_eq!(decoded("event_polexpire"), Some(expired));
    assert_eq!(decoded("event_flushpolicy"), Some(Event::PolicyFlushed));
}

#[test]
fn events_of_sas() {
    let id = |dst, spi, mark| SaId { dst: addr(dst), spi: Spi::new(spi), proto: ESP, mark };
    let marked = Mark { value: 5, mask: 0xf };
    assert_eq!(decoded("event_delsa"), Some(Event::SaDeleted(id("fd00::2", 0x1000, marked))));
    // The larval SA of the acquire, which has no SPI, was the first to expire.
    let Some(Event::SaExpired { id: expired, hard: true, detail }) = decoded("event_expire") else {
        panic!("no hard expiry")
    };
    assert_eq!(expired, id("10.66.66.1", 0, Mark::default()));
    assert_eq!(
        (detail.src, detail.if_id, detail.dir, detail.packets),
        (addr("10.55.55.1"), 0, Some(SaDir::Out), 0)
    );
    let Some(Event::Acquire(acquire)) = decoded("event_acquire") else { panic!("no acquire") };
    assert_eq!((acquire.src, acquire.dst, acquire.proto), (addr("10.55.55.1"), addr("10.66.66.1"), ESP));
    assert_eq!(acquire.templates.len(), 1);
    assert_eq!((acquire.templates[0].dst, acquire.templates[0].mode), (acquire.dst, Mode::Tunnel));
    assert!(acquire.policy & 7 == 1 && acquire.seq != 0, "an outbound policy: {acquire:?}");
    assert_eq!(decoded("event_flushsa"), Some(Event::SaFlushed { proto: 0 }));
}

#[test]
fn a_nat_that_moved() {
    let mut body = Vec::new();
    let padded = |addr: [u8; 4]| addr.into_iter().chain([0; 12]);
    body.extend(padded([10, 66, 66, 1]));
    body.extend([0, 0, 0x10, 0]);
    body.extend((libc::AF_INET as u16).to_ne_bytes());
    body.extend([ESP, 0]);
    body.extend(7_u32.to_ne_bytes());
    body.extend(padded([10, 55, 55, 1]).chain(padded([10, 55, 55, 2])));
    body.extend(4500_u16.to_be_bytes().into_iter().chain(1024_u16.to_be_bytes()));
    let id = SaId { dst: addr("10.66.66.1"), spi: Spi::new(0x1000), proto: ESP, mark: Mark::default() };
    let moved = Event::Mapping { id, old: (addr("10.55.55.1"), 4500), new: (addr("10.55.55.2"), 1024) };
    assert_eq!(first(&framed(0x26, &body)), Some(moved));
}

#[test]
fn what_cannot_be_read_asks_for_a_new_dump() {
    let whole = golden("event_delpolicy");
    for len in [16, 17, 79, 100, 243] {
        assert_eq!(
            first(&framed(0x14, &whole[16..len])),
            Some(Event::Unreadable { kind: 0x14 }),
            "{len} bytes"
        );
    }
    let family = framed(0x10, &[0xff; 400]);
    assert_eq!(first(&family), Some(Event::Unreadable { kind: 0x10 }));
}

#[test]
fn policies_of_sockets_and_of_type_sub_are_left_out() {
    let mut message = golden("policy_out");
    assert!(policy(&message[16..]).unwrap().is_some());
    message[16 + 156] = 8 + 4;
    assert_eq!(policy(&message[16..]), Ok(None));
    message[16 + 156] = 8 + 1;
    message.extend([10, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(policy(&message[16..]), Ok(None));
}

#[test]
fn an_error_has_the_kernels_words() {
    let text = b"Requested type not found\0";
    let mut body = (-libc::EPROTONOSUPPORT).to_ne_bytes().to_vec();
    body.extend([0; 16]);
    body.extend((4 + text.len() as u16).to_ne_bytes().into_iter().chain(1_u16.to_ne_bytes()));
    body.extend(text);
    let mut datagram = framed(2, &body);
    datagram[6..8].copy_from_slice(&0x300_u16.to_ne_bytes());
    let frame = Frames::new(&datagram).next().unwrap().unwrap();
    let error = ack::read(&frame).unwrap().unwrap_err();
    assert_eq!((error.errno, error.ext_ack.as_deref()), (93, Some("Requested type not found")));
    assert_eq!(ack::read(&Frames::new(&framed(2, &[0; 20])).next().unwrap().unwrap()), Ok(Ok(())));
    let short = Frames::new(&framed(2, &[0; 3])).next().map(|frame| ack::read(&frame.unwrap()));
    assert_eq!(short, Some(Err(DecodeError::Short { need: 4, have: 3 })));
}

const FILES: [&str; 23] = [
    "sa_options",
    "sa_sequence",
    "sa_ah",
    "sa_comp",
    "sa_update",
    "policy_icmp",
    "default_set",
    "sa_lab",
    "sa_gcm",
    "sa_chacha",
    "sa_esn",
    "sa_encap",
    "sa_delete",
    "policy_out",
    "policy_fwd",
    "event_delsa",
    "event_expire",
    "event_acquire",
    "event_newpolicy",
    "event_delpolicy",
    "event_polexpire",
    "event_flushsa",
    "event_flushpolicy",
];

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        decode_all(&bytes);
    }

    #[test]
    fn any_body_of_any_kind(kind in 0_u16..0x30, body in proptest::collection::vec(any::<u8>(), 0..600)) {
        decode_all(&framed(kind, &body));
    }

    #[test]
    fn real_messages_cut(file in 0..FILES.len(), keep in 0.0..1.0_f64) {
        let whole = golden(FILES[file]);
        let len = 16 + ((whole.len() - 16) as f64 * keep) as usize;
        decode_all(&whole[..len]);
        let kind = u16::from_ne_bytes([whole[4], whole[5]]);
        decode_all(&framed(kind, &whole[16..len]));
    }

    #[test]
    fn real_messages_with_flipped_bits(
        file in 0..FILES.len(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0..8_u32), 1..12),
    ) {
        let mut message = golden(FILES[file]);
        for (at, bit) in flips {
            let at = at.index(message.len());
            message[at] ^= 1 << bit;
        }
        decode_all(&message);
    }
}

fn decode_all(datagram: &[u8]) {
    let mut messages = 0;
    for frame in Frames::new(datagram) {
        messages += 1;
        let Ok(frame) = frame else { continue };
        drop((event(&frame), ack::read(&frame)));
        // What a dump or a single question would hand over.
        drop((sa(frame.body), policy(frame.body)));
        assert!(default_policy(frame.body).is_err() || frame.body.len() >= 3);
        drop((esp_agent::net::decode::link(&frame), esp_agent::net::decode::address(&frame)));
    }
    assert!(messages <= datagram.len().div_ceil(16), "{messages} messages in {} bytes", datagram.len());
}

fn decoded_sa(file: &str) -> ObservedSa {
    sa(&golden(file)[16..]).unwrap()
}

fn decoded(file: &str) -> Option<Event> {
    first(&golden(file))
}

fn first(datagram: &[u8]) -> Option<Event> {
    event(&Frames::new(datagram).next().unwrap().unwrap())
}

fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).unwrap();
    let mut datagram = len.to_ne_bytes().to_vec();
    datagram.extend(kind.to_ne_bytes());
    datagram.extend([0; 10]);
    datagram.extend(body);
    datagram
}

fn marked_policy() -> PolicyId {
    PolicyId {
        selector: Selector {
            src: Net { addr: addr("0.0.0.0"), len: 0 },
            dst: Net { addr: addr("192.168.2.0"), len: 24 },
            proto: 0,
            sport: Port::default(),
            dport: Port::default(),
            ifindex: 0,
        },
        dir: PolicyDir::Out,
        mark: Mark { value: 5, mask: 0xf },
        if_id: 42,
    }
}

fn addr(text: &str) -> std::net::IpAddr {
    text.parse().unwrap()
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
