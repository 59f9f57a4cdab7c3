//! From bytes to headers. Nothing is trusted: every length is checked, every loop bounded.

mod eth;
mod ipv4;
mod ipv6;
mod udp;

use crate::{Link, Packet};
use esp_common::{Addr, Reason, Spi, Wire};
use network_types::ip::IpProto;

/// `IPPROTO_ESP`.
pub const ESP: u8 = IpProto::Esp as u8;
/// `IPPROTO_UDP`.
pub const UDP: u8 = IpProto::Udp as u8;

/// What an IP header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ip {
    /// Source.
    pub src: Addr,
    /// Destination.
    pub dst: Addr,
    /// Offset of the upper-layer header.
    pub payload: u32,
    /// Offset behind the packet's last byte, by its own length; padding lies behind it.
    pub end: u32,
    /// Upper-layer protocol, behind the extension headers.
    pub proto: u8,
    /// 4 or 6.
    pub family: u8,
    /// Which part of a datagram it is.
    pub fragment: Fragmented,
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragmented {
    /// All of it.
    No,
    /// The first: the upper-layer header is there.
    First,
    /// Another: it is not.
    Later,
}

/// What an ESP header shows (RFC 4303 section 2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Esp {
    /// SPI.
    pub spi: Spi,
    /// The lower half of the sequence number.
    pub seq: u32,
}

/// What follows the IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upper {
    /// ESP.
    Esp(Esp),
    /// ESP in UDP (RFC 3948).
    EspInUdp {
        /// The header.
        esp: Esp,
        /// Its port is the destination, not only the source.
        to_port: bool,
    },
    /// IKE on port 500, or behind the non-ESP marker.
    Ike,
    /// NAT keepalive.
    Keepalive,
    /// A fragment other than the first: its ports or SPI are elsewhere.
    Fragment,
    /// Anything else.
    Other,
}

/// Finds and reads the IP header.
///
/// Errors: [`Reason::NotIp`], [`Reason::Truncated`], [`Reason::Malformed`], [`Reason::ChainTooLong`].
#[inline(always)] // its result is larger than the registers that a BPF call can return
pub fn ip<P: Packet>(packet: &P, link: Link) -> Result<Ip, Reason> {
    let (start, family) = match link {
        Link::Ethernet => eth::find_ip(packet)?,
        Link::Ip => bare(packet)?,
    };
    let start = packet.settle(start);
    match family {
        4 => ipv4::read(packet, start),
        _ => ipv6::read(packet, start),
    }
}

/// The same, with the way that led to it forgotten ([`Packet::settle`]): what follows at TC is long.
#[inline(always)] // as above
pub fn settled<P: Packet>(packet: &P, ip: Ip) -> Ip {
    let (payload, family) = (packet.settle(ip.payload), packet.settle(u32::from(ip.family)) as u8);
    Ip { payload, family, ..ip }
}

/// Reads what follows.
///
/// Errors: [`Reason::Truncated`], [`Reason::Malformed`].
#[inline(always)] // as above
pub fn upper<P: Packet>(packet: &P, ip: &Ip, wire: &Wire) -> Result<Upper, Reason> {
    if ip.fragment == Fragmented::Later {
        return Ok(Upper::Fragment);
    }
    match ip.proto {
        ESP => esp(packet, ip.payload, ip.end).map(Upper::Esp),
        UDP => udp::read(packet, ip, wire),
        _ => Ok(Upper::Other),
    }
}

/// Segments that the stack has not cut yet may together be longer than the length field counts; it is zero then
/// (BIG TCP: IPv6 since Linux 5.19, IPv4 since 6.3).
#[inline(always)] // two compares
fn length<P: Packet>(packet: &P, start: u32, field: u16) -> u32 {
    if field == 0 && packet.len() > u32::from(u16::MAX) {
        return packet.len().saturating_sub(start);
    }
    u32::from(field)
}

/// Eight bytes of an ESP header must be there (RFC 4303 section 2).
#[inline(always)] // one load
fn esp<P: Packet>(packet: &P, offset: u32, end: u32) -> Result<Esp, Reason> {
    const HEADER: u32 = 8;
    if offset.saturating_add(HEADER) > end {
        return Err(Reason::Truncated);
    }
    let [a, b, c, d, seq @ ..]: [u8; HEADER as usize] = packet.load(offset).ok_or(Reason::Truncated)?;
    Ok(Esp { spi: Spi::from_wire([a, b, c, d]), seq: u32::from_be_bytes(seq) })
}

/// A packet without a link header: its version says what it is.
#[inline(always)] // one load
fn bare<P: Packet>(packet: &P) -> Result<(u32, u8), Reason> {
    let [first] = packet.load(0).ok_or(Reason::Truncated)?;
    match first >> 4 {
        4 => Ok((0, 4)),
        6 => Ok((0, 6)),
        _ => Err(Reason::NotIp),
    }
}
