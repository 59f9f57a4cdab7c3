//! ESP: whose it is, and what becomes of it in each mode.

use super::{Case, to_us, to_us6, v4, v6};
use crate::{
    frame::{Frame, Payload},
    world::{OTHER, PEER, PEER6, SPI, US, US6, World},
};
use esp_common::{Guard, Mode, Reason, Wire};

const STRANGE: u32 = 0xdead_beef;

pub(super) fn cases() -> Vec<Case> {
    [known(), unknown(), modes(), reserved(), pings(), sizes(), leaving(), at_tc()].concat()
}

fn esp(dst: &str, spi: u32) -> Vec<u8> {
    Frame::v4(&v4(PEER, dst), &Payload::esp(spi, 1, 64)).build()
}

fn known() -> Vec<Case> {
    let away = World::lab().sa(OTHER, STRANGE);
    vec![
        Case::xdp("known ESP while unsynced", esp(US, SPI), Reason::EspKnown)
            .world(World::lab().unsynced())
            .known(US, SPI),
        Case::xdp("known ESP with guards off", esp(US, SPI), Reason::EspKnown)
            .world(World::lab().mode(Mode::Off))
            .known(US, SPI),
        Case::xdp("an SA whose address is not ours", esp(OTHER, STRANGE), Reason::EspKnown)
            .world(away)
            .known(OTHER, STRANGE),
        Case::xdp("the SPI of an SA at another address", esp(OTHER, SPI), Reason::EspForeign)
            .ghost(OTHER, SPI),
    ]
}

fn unknown() -> Vec<Case> {
    let six = |dst| Frame::v6(&v6(PEER6, dst), &Payload::esp(STRANGE, 1, 64)).build();
    let unsynced = |name, world| {
        Case::xdp(name, esp(US, STRANGE), Reason::UnknownUnsynced).world(world).ghost(US, STRANGE)
    };
    vec![
        Case::xdp("unknown SPI to us", esp(US, STRANGE), Reason::UnknownSpi).ghost(US, STRANGE).dropped(0),
        Case::xdp("unknown SPI to our IPv6 address", six(US6), Reason::UnknownSpi)
            .ghost(US6, STRANGE)
            .dropped(0),
        Case::xdp("unknown SPI in transit", esp(OTHER, STRANGE), Reason::EspForeign).ghost(OTHER, STRANGE),
        Case::xdp("unknown SPI in transit over IPv6", six(PEER6), Reason::EspForeign).ghost(PEER6, STRANGE),
        unsynced("unknown SPI while unsynced", World::lab().unsynced()),
        unsynced("unknown SPI after the lease", World::lab().expired()),
        unsynced("unknown SPI while unsynced and off", World::lab().unsynced().mode(Mode::Off)),
    ]
}

fn modes() -> Vec<Case> {
    let case = |name, mode| {
        let world = World::lab().guard(Guard::UnknownSpi, mode);
        Case::xdp(name, esp(US, STRANGE), Reason::UnknownSpi).world(world).ghost(US, STRANGE)
    };
    vec![
        case("unknown SPI with its guard off", Mode::Off),
        case("unknown SPI with its guard observing", Mode::Observe).observed(0),
        case("unknown SPI with its guard enforcing", Mode::Enforce).dropped(0),
    ]
}

fn reserved() -> Vec<Case> {
    let dropped = |name, spi, reason| Case::xdp(name, esp(US, spi), reason).ghost(US, spi).dropped(0);
    let ours = World::lab().sa(US, 255);
    vec![
        dropped("SPI 0", 0, Reason::SpiZero),
        dropped("SPI 1", 1, Reason::SpiReserved),
        dropped("SPI 255", 255, Reason::SpiReserved),
        dropped("SPI 256", 256, Reason::UnknownSpi),
        dropped("SPI 0xffffffff", u32::MAX, Reason::UnknownSpi),
        Case::xdp("SPI 255 of an SA", esp(US, 255), Reason::EspKnown).world(ours).known(US, 255),
        Case::xdp("SPI 1 in transit", esp(OTHER, 1), Reason::EspForeign).ghost(OTHER, 1),
        Case::xdp("SPI 1 while unsynced", esp(US, 1), Reason::SpiReserved)
            .world(World::lab().unsynced())
            .ghost(US, 1)
            .observed(0),
    ]
}

fn sizes() -> Vec<Case> {
    let spi = SPI.to_be_bytes();
    let raw = |len| {
        let body = spi.iter().copied().chain(std::iter::repeat(0)).take(len).collect();
        Payload::raw(50, body)
    };
    let four = |name, len| Case::xdp(name, Frame::v4(&to_us(), &raw(len)).build(), Reason::Truncated);
    vec![
        four("ESP of no byte", 0),
        four("ESP of 7 bytes", 7),
        Case::xdp("ESP of 8 bytes", Frame::v4(&to_us(), &raw(8)).build(), Reason::EspKnown).known(US, SPI),
        Case::xdp("ESP of 7 bytes over IPv6", Frame::v6(&to_us6(), &raw(7)).build(), Reason::Truncated),
        Case::xdp("ESP of 1400 bytes", Frame::v4(&to_us(), &raw(1400)).build(), Reason::EspKnown)
            .known(US, SPI),
    ]
}

fn leaving() -> Vec<Case> {
    let esp = |src, dst, spi| Frame::v4(&v4(src, dst), &Payload::esp(spi, 1, 64)).build();
    let six = Frame::v6(&v6(US6, PEER6), &Payload::esp(SPI, 1, 64)).build();
    vec![
        Case::egress("our ESP leaves", esp(US, PEER, SPI), Reason::EspKnown).known(PEER, SPI),
        Case::egress("our ESP leaves over IPv6", six, Reason::EspKnown).known(PEER6, SPI),
        Case::egress("ESP of others leaves", esp(OTHER, PEER, STRANGE), Reason::EspForeign)
            .ghost(PEER, STRANGE),
        Case::egress("SPI 0 leaves", esp(US, PEER, 0), Reason::EspForeign).ghost(PEER, 0),
    ]
}

fn at_tc() -> Vec<Case> {
    let outer = World::lab().outer_at_tc();
    let judged = |name, spi| Case::ingress(name, esp(US, spi), Reason::EspJudged);
    vec![
        judged("known ESP that XDP has judged", SPI),
        judged("unknown SPI that XDP has judged", STRANGE),
        Case::ingress("known ESP where there is no XDP", esp(US, SPI), Reason::EspKnown)
            .world(outer.clone())
            .known(US, SPI),
        Case::ingress("unknown SPI where there is no XDP", esp(US, STRANGE), Reason::UnknownSpi)
            .world(outer.clone())
            .ghost(US, STRANGE)
            .dropped(0),
        Case::ingress("ESP in transit where there is no XDP", esp(OTHER, STRANGE), Reason::EspForeign)
            .world(outer)
            .ghost(OTHER, STRANGE),
    ]
}

fn pings() -> Vec<Case> {
    let world = || World::lab().wire([Wire::NATT; 4], [7, 8, 0, 0]);
    let six = Frame::v6(&to_us6(), &Payload::esp(8, 1, 64)).build();
    let case = |name, frame, reason| Case::xdp(name, frame, reason).world(world());
    vec![
        case("ESP echo that is named", esp(US, 7), Reason::EspPing).ghost(US, 7),
        case("ESP echo over IPv6", six, Reason::EspPing).ghost(US6, 8),
        case("ESP echo in transit", esp(OTHER, 7), Reason::EspForeign).ghost(OTHER, 7),
        case("a reserved SPI beside those of ESP echo", esp(US, 9), Reason::SpiReserved)
            .ghost(US, 9)
            .dropped(0),
        case("SPI 0 beside those of ESP echo", esp(US, 0), Reason::SpiZero).ghost(US, 0).dropped(0),
        Case::xdp("ESP echo that nobody named", esp(US, 7), Reason::SpiReserved).ghost(US, 7).dropped(0),
    ]
}
