//! What stands behind the IP header.

use etherparse::{
    IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type, IpNumber, TcpHeader, UdpHeader,
};
use std::net::IpAddr;

/// IKE and ESP behind a NAT (RFC 3948).
const NATT: u16 = 4500;

/// The payload of an IP packet. Transport checksums are filled in by the header that carries it.
#[derive(Clone, Debug)]
pub struct Payload {
    kind: Kind,
    body: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Kind {
    Raw(IpNumber),
    Udp(u16, u16),
    Tcp(u16, u16),
    Echo(u16, u16),
}

impl Payload {
    /// ESP (RFC 4303): the eight bytes of its header and `len` bytes that stand for the rest.
    #[must_use]
    pub fn esp(spi: u32, seq: u32, len: usize) -> Self {
        Self::raw(50, esp_bytes(spi, seq, len))
    }

    /// Any bytes of any protocol.
    #[must_use]
    pub const fn raw(proto: u8, body: Vec<u8>) -> Self {
        Self { kind: Kind::Raw(IpNumber(proto)), body }
    }

    /// UDP.
    #[must_use]
    pub const fn udp(sport: u16, dport: u16, body: Vec<u8>) -> Self {
        Self { kind: Kind::Udp(sport, dport), body }
    }

    /// ESP in UDP on port 4500 (RFC 3948 section 2.1).
    #[must_use]
    pub fn natt_esp(spi: u32, seq: u32, len: usize) -> Self {
        Self::udp(NATT, NATT, esp_bytes(spi, seq, len))
    }

    /// IKE behind the non-ESP marker on port 4500 (RFC 3948 section 2.2).
    #[must_use]
    pub fn natt_ike(len: usize) -> Self {
        Self::udp(NATT, NATT, [vec![0; 4], pattern(len)].concat())
    }

    /// NAT keepalive (RFC 3948 section 2.3).
    #[must_use]
    pub fn natt_keepalive() -> Self {
        Self::udp(NATT, NATT, vec![0xff])
    }

    /// `len` bytes on port 4500: fewer than four hold neither an SPI nor a marker.
    #[must_use]
    pub fn natt_short(len: usize) -> Self {
        Self::udp(NATT, NATT, pattern(len))
    }

    /// TCP.
    #[must_use]
    pub fn tcp(sport: u16, dport: u16, len: usize) -> Self {
        Self { kind: Kind::Tcp(sport, dport), body: pattern(len) }
    }

    /// An ICMP or ICMPv6 echo request, by the family of the header that carries it.
    #[must_use]
    pub fn icmp_echo(id: u16, seq: u16, len: usize) -> Self {
        Self { kind: Kind::Echo(id, seq), body: pattern(len) }
    }

    /// The protocol number that the IP header carries.
    pub(super) fn proto(&self, dst: IpAddr) -> IpNumber {
        match (&self.kind, dst) {
            (Kind::Raw(proto), _) => *proto,
            (Kind::Udp(..), _) => IpNumber::UDP,
            (Kind::Tcp(..), _) => IpNumber::TCP,
            (Kind::Echo(..), IpAddr::V4(_)) => IpNumber::ICMP,
            (Kind::Echo(..), IpAddr::V6(_)) => IpNumber::IPV6_ICMP,
        }
    }

    /// The bytes, with the checksum over the pseudo header.
    pub(super) fn bytes(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let head = match self.kind {
            Kind::Raw(_) => Vec::new(),
            Kind::Udp(sport, dport) => udp(sport, dport, src, dst, &self.body),
            Kind::Tcp(sport, dport) => tcp(sport, dport, src, dst, &self.body),
            Kind::Echo(id, seq) => echo(IcmpEchoHeader { id, seq }, src, dst, &self.body),
        };
        [head, self.body.clone()].concat()
    }
}

fn esp_bytes(spi: u32, seq: u32, len: usize) -> Vec<u8> {
    [spi.to_be_bytes().to_vec(), seq.to_be_bytes().to_vec(), pattern(len)].concat()
}

/// Bytes that are neither all equal nor random.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// The test's own frames are far below the 64 KiB that these headers can count.
const FITS: &str = "a test payload fits its length field";

fn udp(sport: u16, dport: u16, src: IpAddr, dst: IpAddr, body: &[u8]) -> Vec<u8> {
    let mut header = UdpHeader::without_ipv4_checksum(sport, dport, body.len()).expect(FITS);
    header.checksum = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), body),
        (IpAddr::V6(src), IpAddr::V6(dst)) => header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), body),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            unreachable!("one family a packet")
        }
    }
    .expect(FITS);
    header.to_bytes().to_vec()
}

fn tcp(sport: u16, dport: u16, src: IpAddr, dst: IpAddr, body: &[u8]) -> Vec<u8> {
    let mut header = TcpHeader::new(sport, dport, 1, 1024);
    header.checksum = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), body),
        (IpAddr::V6(src), IpAddr::V6(dst)) => header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), body),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            unreachable!("one family a packet")
        }
    }
    .expect(FITS);
    header.to_bytes().to_vec()
}

fn echo(echo: IcmpEchoHeader, src: IpAddr, dst: IpAddr, body: &[u8]) -> Vec<u8> {
    match (src, dst) {
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let kind = Icmpv6Type::EchoRequest(echo);
            let header = Icmpv6Header::with_checksum(kind, src.octets(), dst.octets(), body).expect(FITS);
            header.to_bytes().to_vec()
        }
        _ => Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(echo), body).to_bytes().to_vec(),
    }
}
