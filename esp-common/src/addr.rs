//! IP addresses and prefixes: one 16-byte form for both families.

use bytemuck::{Pod, Zeroable};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv4 or IPv6 address in 16 bytes. IPv4 is stored in the IPv4-mapped form of RFC 4291 section 2.5.5.2;
/// a packet whose IPv6 header itself carries a mapped address is refused by the parser, so the two never meet.
///
/// Aligned to 8 bytes so that a comparison is two words.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub struct Addr {
    words: [u64; 2],
}

/// The first eight and next four bytes of an IPv4-mapped address.
const MAPPED_HIGH: [u8; 8] = [0; 8];
const MAPPED_MARK: [u8; 4] = [0, 0, 0xff, 0xff];

impl Addr {
    /// The unspecified address, `::`.
    pub const UNSPECIFIED: Self = Self { words: [0, 0] };

    /// From the four bytes of an IPv4 header.
    #[inline(always)] // one register pair; a call would spill it to the 512-byte stack
    #[must_use]
    pub const fn from_v4(octets: [u8; 4]) -> Self {
        let [a, b, c, d] = octets;
        let [m0, m1, m2, m3] = MAPPED_MARK;
        Self { words: [u64::from_ne_bytes(MAPPED_HIGH), u64::from_ne_bytes([m0, m1, m2, m3, a, b, c, d])] }
    }

    /// From the sixteen bytes of an IPv6 header.
    #[inline(always)] // one register pair; a call would spill it to the 512-byte stack
    #[must_use]
    pub const fn from_v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        Self {
            words: [
                u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
                u64::from_ne_bytes([i, j, k, l, m, n, o, p]),
            ],
        }
    }

    /// The sixteen bytes in network order.
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        let [a, b, c, d, e, f, g, h] = self.words[0].to_ne_bytes();
        let [i, j, k, l, m, n, o, p] = self.words[1].to_ne_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The two machine words, for masked comparison. Their numeric value means nothing.
    #[inline(always)] // part of every comparison of the datapath
    #[must_use]
    pub const fn words(self) -> [u64; 2] {
        self.words
    }

    /// From what [`Addr::words`] gave.
    #[inline(always)] // a move of two registers
    #[must_use]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self { words }
    }

    /// True when this is an IPv4 address (in mapped form).
    #[inline(always)] // part of every comparison of the datapath
    #[must_use]
    pub const fn is_v4(self) -> bool {
        let [m0, m1, m2, m3] = MAPPED_MARK;
        let [h0, h1, h2, h3, ..] = self.words[1].to_ne_bytes();
        self.words[0] == 0 && h0 == m0 && h1 == m1 && h2 == m2 && h3 == m3
    }

    /// As the standard library's address.
    #[must_use]
    pub const fn ip(self) -> IpAddr {
        let octets = self.octets();
        if self.is_v4() {
            let [.., a, b, c, d] = octets;
            return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
        }
        IpAddr::V6(Ipv6Addr::from_octets(octets))
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4(v4.octets()),
            IpAddr::V6(v6) => Self::from_v6(v6.octets()),
        }
    }
}

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&self.ip(), f)
    }
}

impl core::fmt::Debug for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// A prefix as address and mask, ready for a masked comparison.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct Prefix {
    /// The network; bits outside `mask` are zero.
    pub net: Addr,
    /// The mask over the 16-byte form. `/0` of IPv4 still covers the 96 fixed bits, so it matches IPv4 only.
    pub mask: Addr,
}

impl Prefix {
    /// From an address and a prefix length in the family's own count (0..=32 or 0..=128; more is cut).
    #[must_use]
    pub fn new(ip: IpAddr, len: u8) -> Self {
        let bits = match ip {
            IpAddr::V4(_) => 96 + u32::from(len.min(32)),
            IpAddr::V6(_) => u32::from(len.min(128)),
        };
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        let net = u128::from_be_bytes(Addr::from(ip).octets()) & mask;
        Self { net: Addr::from_v6(net.to_be_bytes()), mask: Addr::from_v6(mask.to_be_bytes()) }
    }

    /// True when `addr` lies in the prefix. An IPv6 prefix shorter than /96 may cover the mapped form of IPv4 too:
    /// whoever compares both families compares the family beside it.
    #[must_use]
    pub const fn contains(&self, addr: Addr) -> bool {
        self.difference(addr) == 0
    }

    /// Zero when `addr` lies in the prefix.
    #[inline(always)] // the body of the rule loop: a call for each rule would cost more than the compare
    #[must_use]
    pub const fn difference(&self, addr: Addr) -> u64 {
        let (a, n, m) = (addr.words(), self.net.words(), self.mask.words());
        ((a[0] ^ n[0]) & m[0]) | ((a[1] ^ n[1]) & m[1])
    }
}

const _: () = {
    assert!(size_of::<Addr>() == 16 && align_of::<Addr>() == 8);
    assert!(size_of::<Prefix>() == 32);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["10.55.55.1", "0.0.0.0", "255.255.255.255", "::", "2001:db8::1"] {
            let ip: IpAddr = text.parse().expect("test address");
            assert_eq!(Addr::from(ip).ip(), ip, "{text}");
        }
    }

    #[test]
    fn a_prefix_matches_its_own_family_only() {
        let any4 = Prefix::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let any6 = Prefix::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
        let v4 = Addr::from_v4([192, 168, 1, 2]);
        assert!(any4.contains(v4));
        assert!(!any4.contains(Addr::from_v6([0x20; 16])));
        assert!(any6.contains(Addr::from_v6([0x20; 16])));
        assert!(any6.contains(v4), "the family is compared beside it");
    }

    #[test]
    fn a_prefix_ends_at_its_length() {
        let net = Prefix::new(IpAddr::V4(Ipv4Addr::new(192, 168, 1, 77)), 24);
        assert!(net.contains(Addr::from_v4([192, 168, 1, 255])));
        assert!(!net.contains(Addr::from_v4([192, 168, 2, 0])));
    }
}
