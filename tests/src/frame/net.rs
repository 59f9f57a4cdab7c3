//! IP headers, with a way to lie in each field that a parser must not trust.

use super::Payload;
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 header.
#[derive(Clone, Debug)]
pub struct Ipv4 {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    options: usize,
    fragment: (u16, bool),
    version: u8,
    ihl: Option<u8>,
    total_len: Option<u16>,
}

impl Ipv4 {
    /// A header without options that is no fragment.
    #[must_use]
    pub fn new(src: impl Into<Ipv4Addr>, dst: impl Into<Ipv4Addr>) -> Self {
        let (src, dst) = (src.into(), dst.into());
        Self { src, dst, options: 0, fragment: (0, false), version: 4, ihl: None, total_len: None }
    }

    /// `len` bytes of no-operation options: a multiple of four, 40 at most.
    #[must_use]
    pub const fn options(mut self, len: usize) -> Self {
        self.options = len;
        self
    }

    /// Makes it a fragment: its offset in units of eight bytes, and whether more follow.
    #[must_use]
    pub const fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = (offset, more);
        self
    }

    /// Overrides the version field.
    #[must_use]
    pub const fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// Overrides the header length field, in words of four bytes.
    #[must_use]
    pub const fn ihl(mut self, words: u8) -> Self {
        self.ihl = Some(words);
        self
    }

    /// Overrides the total length field.
    #[must_use]
    pub const fn total_len(mut self, bytes: u16) -> Self {
        self.total_len = Some(bytes);
        self
    }

    /// The header and its payload. Overridden fields keep the checksum of the true header.
    #[must_use]
    pub fn packet(&self, payload: &Payload) -> Vec<u8> {
        let (src, dst) = (IpAddr::V4(self.src), IpAddr::V4(self.dst));
        let body = payload.bytes(src, dst);
        let mut header = Ipv4Header {
            source: self.src.octets(),
            destination: self.dst.octets(),
            time_to_live: 64,
            protocol: payload.proto(dst),
            more_fragments: self.fragment.1,
            fragment_offset: IpFragOffset::try_new(self.fragment.0).expect("a fragment offset has 13 bits"),
            // Option kind 1 is "no operation" (RFC 791 section 3.1).
            options: Ipv4Options::try_from(vec![1; self.options].as_slice()).expect("whole words of options"),
            ..Ipv4Header::default()
        };
        header.set_payload_len(body.len()).expect("a test packet is below 64 KiB");
        header.header_checksum = header.calc_header_checksum();
        let mut packet = header.to_bytes().to_vec();
        packet[0] = self.version << 4 | self.ihl.unwrap_or(header.ihl());
        if let Some(bytes) = self.total_len {
            packet[2..4].copy_from_slice(&bytes.to_be_bytes());
        }
        packet.extend(body);
        packet
    }
}

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ext {
    /// Hop-by-hop options, with so many units of eight bytes beyond the first.
    HopByHop(u8),
    /// Routing, with so many units of eight bytes beyond the first.
    Routing(u8),
    /// Destination options, with so many units of eight bytes beyond the first.
    DestOpts(u8),
    /// Fragment: offset in units of eight bytes, and whether more follow.
    Fragment(u16, bool),
    /// Authentication Header (RFC 4302), with so many words of four bytes beyond the first two.
    Auth(u8),
}

impl Ext {
    /// The number that the header before it carries.
    const fn number(self) -> IpNumber {
        match self {
            Self::HopByHop(_) => IpNumber::IPV6_HEADER_HOP_BY_HOP,
            Self::Routing(_) => IpNumber::IPV6_ROUTE_HEADER,
            Self::DestOpts(_) => IpNumber::IPV6_DESTINATION_OPTIONS,
            Self::Fragment(..) => IpNumber::IPV6_FRAGMENTATION_HEADER,
            Self::Auth(_) => IpNumber::AUTHENTICATION_HEADER,
        }
    }

    fn bytes(self, next: IpNumber) -> Vec<u8> {
        let (second, len) = match self {
            Self::HopByHop(units) | Self::Routing(units) | Self::DestOpts(units) => {
                (units, 8 + 8 * usize::from(units))
            }
            Self::Fragment(..) => (0, 8),
            Self::Auth(words) => (words, 8 + 4 * usize::from(words)),
        };
        let mut bytes = vec![0; len];
        bytes[0] = next.0;
        bytes[1] = second;
        if let Self::Fragment(offset, more) = self {
            bytes[2..4].copy_from_slice(&(offset << 3 | u16::from(more)).to_be_bytes());
        }
        bytes
    }
}

/// An IPv6 header and its extension headers.
#[derive(Clone, Debug)]
pub struct Ipv6 {
    src: Ipv6Addr,
    dst: Ipv6Addr,
    exts: Vec<Ext>,
    version: u8,
    payload_len: Option<u16>,
}

impl Ipv6 {
    /// A header without extensions.
    #[must_use]
    pub const fn new(src: Ipv6Addr, dst: Ipv6Addr) -> Self {
        Self { src, dst, exts: Vec::new(), version: 6, payload_len: None }
    }

    /// Appends an extension header.
    #[must_use]
    pub fn ext(mut self, ext: Ext) -> Self {
        self.exts.push(ext);
        self
    }

    /// Overrides the version field.
    #[must_use]
    pub const fn version(mut self, version: u8) -> Self {
        self.version = version;
        self
    }

    /// Overrides the payload length field.
    #[must_use]
    pub const fn payload_len(mut self, bytes: u16) -> Self {
        self.payload_len = Some(bytes);
        self
    }

    /// The headers and their payload.
    #[must_use]
    pub fn packet(&self, payload: &Payload) -> Vec<u8> {
        let (src, dst) = (IpAddr::V6(self.src), IpAddr::V6(self.dst));
        let mut next = payload.proto(dst);
        let mut body = payload.bytes(src, dst);
        for ext in self.exts.iter().rev() {
            body.splice(0..0, ext.bytes(next));
            next = ext.number();
        }
        let mut header = Ipv6Header {
            source: self.src.octets(),
            destination: self.dst.octets(),
            hop_limit: 64,
            next_header: next,
            ..Ipv6Header::default()
        };
        header.set_payload_length(body.len()).expect("a test packet is below 64 KiB");
        header.payload_length = self.payload_len.unwrap_or(header.payload_length);
        let mut packet = header.to_bytes().to_vec();
        packet[0] = self.version << 4;
        packet.extend(body);
        packet
    }
}
