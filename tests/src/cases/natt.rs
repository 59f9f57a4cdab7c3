//! UDP 500 and 4500 (RFC 3948).

use super::{Case, to_us, to_us6, v4};
use crate::{
    frame::{Frame, Payload},
    world::{OTHER, PEER, SPI, US, US6, World},
};
use esp_common::Reason;

const STRANGE: u32 = 0xdead_beef;
/// A port that means nothing.
const SOME: u16 = 40_000;

pub(super) fn cases() -> Vec<Case> {
    [both(), short(), lengths(), from(), ike(), other_ports()].concat()
}

fn frame(payload: &Payload) -> Vec<u8> {
    Frame::v4(&to_us(), payload).build()
}

fn esp(sport: u16, dport: u16, spi: u32) -> Payload {
    Payload::udp(sport, dport, [&spi.to_be_bytes()[..], &[0, 0, 0, 1, 9, 9, 9, 9]].concat())
}

fn both() -> Vec<Case> {
    let six = Frame::v6(&to_us6(), &Payload::natt_esp(SPI, 1, 64)).build();
    let first = Frame::v4(&to_us().fragment(0, true), &Payload::natt_esp(SPI, 1, 64)).build();
    let known = |name, frame| Case::xdp(name, frame, Reason::EspKnown);
    let to = |dst| Frame::v4(&v4(PEER, dst), &Payload::natt_esp(STRANGE, 1, 64)).build();
    vec![
        known("ESP in UDP", frame(&Payload::natt_esp(SPI, 1, 64))).known(US, SPI),
        known("ESP in UDP over IPv6", six).known(US6, SPI),
        known("ESP in UDP from a mapped port", frame(&esp(SOME, 4500, SPI))).known(US, SPI),
        known("ESP in UDP, first fragment", first).known(US, SPI),
        Case::xdp("ESP in UDP of no SA", to(US), Reason::UnknownSpi).ghost(US, STRANGE).dropped(0),
        Case::xdp("ESP in UDP in transit", to(OTHER), Reason::EspForeign).ghost(OTHER, STRANGE),
        Case::xdp("ESP in UDP with reserved SPI", frame(&esp(SOME, 4500, 1)), Reason::SpiReserved)
            .ghost(US, 1)
            .dropped(0),
        Case::ingress("ESP in UDP that XDP has judged", to(US), Reason::EspJudged),
        Case::xdp("IKE behind the marker", frame(&Payload::natt_ike(28)), Reason::Ike),
        Case::xdp("a marker and nothing", frame(&Payload::natt_ike(0)), Reason::Ike),
        Case::xdp("keepalive", frame(&Payload::natt_keepalive()), Reason::NatKeepalive),
    ]
}

fn short() -> Vec<Case> {
    let case =
        |name, body: Vec<u8>| Case::xdp(name, frame(&Payload::udp(4500, 4500, body)), Reason::Truncated);
    vec![
        case("port 4500 without a byte", vec![]),
        case("port 4500 with another byte", vec![0xfe]),
        case("port 4500 with 2 bytes", vec![0xff; 2]),
        case("port 4500 with 3 bytes", vec![0; 3]),
        case("port 4500 with half an SPI's header, 4 bytes", vec![1; 4]),
        case("port 4500 with 5 bytes", vec![1; 5]),
        case("port 4500 with 6 bytes", vec![1; 6]),
        case("port 4500 with 7 bytes", vec![1; 7]),
    ]
}

/// UDP's own length, which a header builder would not get wrong.
fn lengths() -> Vec<Case> {
    let lie = |len: u16| {
        let mut frame = frame(&esp(4500, 4500, SPI));
        frame[38..40].copy_from_slice(&len.to_be_bytes());
        frame
    };
    let half_ike = Frame::v4(&to_us().total_len(24), &Payload::udp(500, 500, vec![0; 28])).build();
    let cut = |len: u16| Frame::v4(&to_us().total_len(20 + len), &esp(4500, 4500, SPI)).build();
    vec![
        Case::xdp("UDP length of 0", lie(0), Reason::Malformed),
        Case::xdp("UDP length of 7", lie(7), Reason::Malformed),
        Case::xdp("UDP length of 8", lie(8), Reason::Truncated),
        Case::xdp("UDP length one beyond the packet", lie(8 + 12 + 1), Reason::Truncated),
        Case::xdp("UDP length below the packet", lie(8 + 8), Reason::EspKnown).known(US, SPI),
        Case::xdp("half a UDP header", cut(4), Reason::Truncated),
        Case::xdp("half a UDP header of IKE", half_ike, Reason::Truncated),
        Case::xdp("a UDP header that reaches into the padding", cut(7), Reason::Truncated),
        Case::xdp(
            "a UDP header that is cut off",
            frame(&esp(4500, 4500, SPI))[..38].to_vec(),
            Reason::Truncated,
        ),
    ]
}

/// Port 4500 is the source alone.
fn from() -> Vec<Case> {
    let other = |name, payload: &Payload| Case::xdp(name, frame(payload), Reason::NotEsp);
    let udp = |body: &[u8]| Payload::udp(4500, SOME, body.to_vec());
    vec![
        Case::xdp("from 4500 with an SA", frame(&esp(4500, SOME, SPI)), Reason::EspKnown).known(US, SPI),
        other("from 4500 without an SA", &esp(4500, SOME, STRANGE)),
        other("from 4500 with 1 byte", &udp(&[7])),
        other("from 4500 with 3 bytes", &udp(&[7; 3])),
        other("from 4500 with 7 bytes", &udp(&[7; 7])),
        Case::xdp("from 4500 with a keepalive", frame(&udp(&[0xff])), Reason::NatKeepalive),
        Case::ingress(
            "from 4500 with an SA that XDP has judged",
            frame(&esp(4500, SOME, SPI)),
            Reason::EspJudged,
        ),
        Case::ingress(
            "from 4500 without an SA at TC ingress",
            frame(&esp(4500, SOME, STRANGE)),
            Reason::NotEsp,
        ),
        Case::egress(
            "we answer from 4500",
            Frame::v4(&v4(US, PEER), &esp(4500, SOME, SPI)).build(),
            Reason::EspKnown,
        )
        .known(PEER, SPI),
    ]
}

fn ike() -> Vec<Case> {
    let ike =
        |name, sport, dport| Case::xdp(name, frame(&Payload::udp(sport, dport, vec![0; 28])), Reason::Ike);
    vec![
        ike("IKE", 500, 500),
        ike("IKE from a mapped port", SOME, 500),
        ike("IKE to a mapped port", 500, SOME),
        Case::xdp("UDP", frame(&Payload::udp(SOME, 53, vec![0; 28])), Reason::NotEsp),
        Case::xdp("UDP while unsynced", frame(&Payload::udp(SOME, 53, vec![])), Reason::NotEsp)
            .world(World::lab().unsynced()),
    ]
}

fn other_ports() -> Vec<Case> {
    let world = || World::lab().wire([4501, 4502, 4501, 4501], [0; 4]);
    let six = |port| Frame::v6(&to_us6(), &esp(SOME, port, SPI)).build();
    let case = |name, frame, reason| Case::xdp(name, frame, reason).world(world());
    vec![
        case("ESP in UDP on a port that is named", frame(&esp(SOME, 4501, SPI)), Reason::EspKnown)
            .known(US, SPI),
        case("ESP in UDP on another port that is named", six(4502), Reason::EspKnown).known(US6, SPI),
        case("ESP in UDP from a port that is named", frame(&esp(4502, SOME, SPI)), Reason::EspKnown)
            .known(US, SPI),
        case("port 4500 where others are named", frame(&esp(SOME, 4500, SPI)), Reason::NotEsp),
        case("port 0 where four are named", six(0), Reason::NotEsp),
        case("IKE on a port that is named", frame(&esp(SOME, 4501, 0)), Reason::Ike),
    ]
}
