//! How large a packet may be that goes through a tunnel without a fragment: arithmetic of RFC 4303 section 2.

use crate::config::Tunnel;
use crate::xfrm::model::{Mode, Sa, Suite};
use std::fmt;

/// The MTU of Ethernet: what is assumed where the path is not known.
pub const ETHERNET: u32 = 1500;

/// SPI and sequence number.
const ESP_HEADER: u32 = 8;
/// Pad length and next header, inside the encrypted part.
const ESP_TRAILER: u32 = 2;
/// Header of UDP encapsulation (RFC 3948).
const UDP: u32 = 8;
/// TCP header without options.
const TCP: u32 = 20;

/// Largest packet, outer header and all not counted, that `sa` carries over a path of `outer` bytes; `None` when there
/// is no room, or for an SA without a cipher.
#[must_use]
pub fn inner(sa: &Sa, outer: u32) -> Option<u32> {
    let (iv, icv, block) = lengths(&sa.suite)?;
    let header = ip_header(sa.id.dst.is_ipv4());
    let udp = if sa.encap.is_some() { UDP } else { 0 };
    let room = outer.checked_sub(header + udp + ESP_HEADER + iv + icv)?;
    let payload = (room - room % block).checked_sub(ESP_TRAILER)?;
    match sa.mode {
        Mode::Tunnel => Some(payload),
        // The header stays outside and belongs to the packet all the same.
        Mode::Transport => Some(payload + header),
        Mode::Beet | Mode::Other(_) => None,
    }
}

/// Largest TCP segment in packets of `mtu` bytes.
#[must_use]
pub fn mss(mtu: u32, ipv4: bool) -> Option<u32> {
    mtu.checked_sub(ip_header(ipv4) + TCP).filter(|mss| *mss > 0)
}

const fn ip_header(ipv4: bool) -> u32 {
    if ipv4 { 20 } else { 40 }
}

/// Bytes of the IV and the ICV, and what the encrypted part is a multiple of: the block of the cipher, at least 4
/// (RFC 4303 section 2.4).
fn lengths(suite: &Suite) -> Option<(u32, u32, u32)> {
    if let Some(aead) = &suite.aead {
        // RFC 4106, 4309, 4543, 7634: an explicit IV of 8 bytes, and a stream cipher.
        return Some((8, aead.icv_bits / 8, 4));
    }
    let icv = suite.auth.as_ref().map_or(0, |auth| auth.icv_bits / 8);
    match suite.enc.as_ref()?.name.as_str() {
        "cbc(aes)" => Some((16, icv, 16)),
        "rfc3686(ctr(aes))" => Some((8, icv, 4)),
        "ecb(cipher_null)" => Some((0, icv, 4)),
        _ => None,
    }
}

/// What fits into one tunnel.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Fit {
    /// Tunnel.
    pub tunnel: String,
    /// MTU of the path, in bytes.
    pub outer: u32,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Largest TCP segment over IPv4, when the tunnel carries it.
    pub mss_v4: Option<u32>,
    /// The same over IPv6.
    pub mss_v6: Option<u32>,
}

impl Fit {
    /// What fits into `tunnel` over a path of `outer` bytes; `None` when nothing does.
    #[must_use]
    pub fn of(tunnel: &Tunnel, outer: u32) -> Option<Self> {
        let outbound = tunnel.sas.last()?;
        let mtu = inner(&outbound.sa, outer)?;
        let carries = |ipv4: bool| tunnel.networks.iter().any(|(ours, _)| ours.addr.is_ipv4() == ipv4);
        let mss = |ipv4: bool| carries(ipv4).then(|| mss(mtu, ipv4)).flatten();
        Some(Self { tunnel: tunnel.name.clone(), outer, mtu, mss_v4: mss(true), mss_v6: mss(false) })
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: inner MTU {}", self.tunnel, self.mtu)?;
        match (self.mss_v4, self.mss_v6) {
            (Some(v4), Some(v6)) => write!(f, ", MSS {v4} over IPv4 and {v6} over IPv6")?,
            (Some(mss), None) | (None, Some(mss)) => write!(f, ", MSS {mss}")?,
            (None, None) => {}
        }
        write!(f, " (for a path MTU of {})", self.outer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::lab_sa_out;
    use crate::xfrm::model::{Algo, Encap};

    fn algo(name: &str, icv_bits: u32) -> Option<Algo> {
        Some(Algo { name: name.into(), key_bits: 128, icv_bits })
    }

    fn separate(enc: &str, icv_bits: u32) -> Suite {
        Suite { enc: algo(enc, 0), auth: algo("hmac(sha256)", icv_bits), ..Suite::default() }
    }

    fn combined(name: &str, icv_bits: u32) -> Suite {
        Suite { aead: algo(name, icv_bits), ..Suite::default() }
    }

    #[test]
    fn each_suite_leaves_what_its_rfc_says() {
        let cases = [
            (separate("cbc(aes)", 128), 1438),
            (separate("cbc(aes)", 96), 1438),
            (separate("cbc(aes)", 256), 1422),
            (separate("rfc3686(ctr(aes))", 128), 1446),
            (separate("ecb(cipher_null)", 128), 1454),
            (combined("rfc4106(gcm(aes))", 128), 1446),
            (combined("rfc4106(gcm(aes))", 96), 1450),
            (combined("rfc4106(gcm(aes))", 64), 1454),
            (combined("rfc4309(ccm(aes))", 128), 1446),
            (combined("rfc4543(gcm(aes))", 128), 1446),
            (combined("rfc7539esp(chacha20,poly1305)", 128), 1446),
        ];
        for (suite, wanted) in cases {
            let sa = Sa { suite: suite.clone(), ..lab_sa_out() };
            assert_eq!(inner(&sa, ETHERNET), Some(wanted), "{suite:?}");
            let longest = length(&sa, wanted);
            assert!(longest <= ETHERNET && length(&sa, wanted + 1) > ETHERNET, "{suite:?}: {longest}");
        }
    }

    /// What goes on the wire for a packet of `inner` bytes, built up from its pieces.
    fn length(sa: &Sa, inner: u32) -> u32 {
        let (iv, icv, block) = lengths(&sa.suite).unwrap();
        20 + 8 + iv + (inner + 2).next_multiple_of(block) + icv
    }

    #[test]
    fn mode_encapsulation_and_family_count() {
        let gcm = Sa { suite: combined("rfc4106(gcm(aes))", 128), ..lab_sa_out() };
        let encap = Some(Encap { kind: 2, sport: 4500, dport: 4500, original: None });
        assert_eq!(inner(&Sa { encap, ..gcm.clone() }, ETHERNET), Some(1438));
        assert_eq!(inner(&Sa { mode: Mode::Transport, ..gcm.clone() }, ETHERNET), Some(1466));
        let mut v6 = gcm.clone();
        v6.id.dst = "2001:db8::1".parse().unwrap();
        assert_eq!(inner(&v6, ETHERNET), Some(1426));
        assert_eq!(inner(&v6, 40), None);
        assert_eq!(inner(&Sa { suite: Suite::default(), ..gcm }, ETHERNET), None);
        assert_eq!([mss(1438, true), mss(1438, false), mss(60, false)], [Some(1398), Some(1378), None]);
    }
}
