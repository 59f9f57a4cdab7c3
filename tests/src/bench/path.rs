//! The ways through the XDP program: one frame for each, and where it must end.

use crate::frame::{Frame, Ipv4, Ipv6, Payload};
use esp_common::{Action, Reason};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Our own addresses: the outer destinations.
pub const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(10, 66, 66, 1);
/// As [`LOCAL_V4`].
pub const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x66, 0, 0, 0, 0, 0, 1);
const PEER_V4: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 1);
const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x55, 0, 0, 0, 0, 0, 1);
/// Of somebody else: ESP to it is in transit.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// SPI of the first SA in the table; the others follow it.
pub const FIRST_SPI: u32 = 0x1000;
const UNKNOWN_SPI: u32 = 0x2000_0000;

/// A ping in tunnel mode.
const ESP_LEN: usize = 120;

/// One way through the program.
#[derive(Clone, Debug)]
pub struct Path {
    /// Its name in the table.
    pub name: &'static str,
    /// The frame.
    pub frame: Vec<u8>,
    /// Destination of the SAs in the table.
    pub dst: IpAddr,
    /// SAs in the table; the first is the frame's where the path says "known".
    pub sas: u32,
    /// SPI of the first of them: of no other path, so that each has its own sequence numbers.
    pub first: u32,
    /// Where it is in the frame.
    pub spi_at: u32,
    /// Whether the kernel is to be asked for an SPI that is not in the table: its newest SA is not known.
    pub asks: bool,
    /// Where the frame must end.
    pub reason: Reason,
    /// And the verdict on it, all guards enforcing.
    pub action: Action,
}

/// All paths, in the order of the program.
#[must_use]
pub fn all() -> Vec<Path> {
    let spi = |path: u32| FIRST_SPI + path * 0x1_0000;
    let known = |path| Payload::esp(spi(path), 1, ESP_LEN);
    let unknown = Payload::esp(UNKNOWN_SPI, 1, ESP_LEN);
    let natt = Payload::natt_esp(spi(3), 1, ESP_LEN);
    let v4 = Ipv4::new(PEER_V4, LOCAL_V4);
    let transit = Ipv4::new(PEER_V4, ELSEWHERE);
    let later = v4.clone().fragment(185, false);
    let v4 = |payload: &Payload| Frame::v4(&v4, payload);
    let v6 = |payload: &Payload| Frame::v6(&Ipv6::new(PEER_V6, LOCAL_V6), payload);
    vec![
        passed("not IP", Frame::raw(0x0806, vec![0; 46]), Reason::NotIp),
        passed("not ESP (TCP)", v4(&Payload::tcp(40_000, 443, ESP_LEN)), Reason::NotEsp),
        passed("IKE", v4(&Payload::natt_ike(ESP_LEN)), Reason::Ike),
        passed("NAT keepalive", v4(&Payload::natt_keepalive()), Reason::NatKeepalive),
        passed("fragment", Frame::v4(&later, &Payload::raw(50, vec![0; ESP_LEN])), Reason::Fragment),
        passed("IPv4 ESP, known", v4(&known(0)), Reason::EspKnown).of(spi(0), 34),
        passed("IPv4 ESP, known", v4(&known(1)), Reason::EspKnown).of(spi(1), 34).among(1_000),
        Path {
            dst: LOCAL_V6.into(),
            ..passed("IPv6 ESP, known", v6(&known(2)), Reason::EspKnown).of(spi(2), 54)
        },
        passed("NAT-T ESP, known", v4(&natt), Reason::EspKnown).of(spi(3), 42),
        passed("VLAN ESP, known", v4(&known(4)).vlan(5), Reason::EspKnown).of(spi(4), 38),
        dropped("ESP to us, unknown SPI", v4(&unknown), Reason::UnknownSpi),
        dropped("ESP to us, unknown SPI", v4(&unknown), Reason::UnknownSpi).among(1_000),
        Path { asks: true, ..dropped("the same, the kernel asked", v4(&unknown), Reason::UnknownSpi) },
        passed("ESP in transit", Frame::v4(&transit, &unknown), Reason::EspForeign),
    ]
}

/// Where the SPI is behind Ethernet and IPv4.
pub const SPI_V4: u32 = 34;

/// ESP over IPv4 to us, with the first SPI.
#[must_use]
pub fn esp() -> Vec<u8> {
    first().build()
}

/// The same between two MAC addresses.
#[must_use]
pub fn esp_to(from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    first().macs(from, to).build()
}

fn first() -> Frame {
    Frame::v4(&Ipv4::new(PEER_V4, LOCAL_V4), &Payload::esp(FIRST_SPI, 1, ESP_LEN))
}

impl Path {
    fn of(self, first: u32, spi_at: u32) -> Self {
        Self { first, spi_at, ..self }
    }

    fn among(self, sas: u32) -> Self {
        Self { sas, ..self }
    }
}

fn passed(name: &'static str, frame: Frame, reason: Reason) -> Path {
    let (first, spi_at) = (FIRST_SPI, SPI_V4);
    Path {
        name,
        frame: frame.build(),
        dst: LOCAL_V4.into(),
        sas: 1,
        first,
        spi_at,
        asks: false,
        reason,
        action: Action::Pass,
    }
}

fn dropped(name: &'static str, frame: Frame, reason: Reason) -> Path {
    Path { action: Action::Drop, ..passed(name, frame, reason) }
}
