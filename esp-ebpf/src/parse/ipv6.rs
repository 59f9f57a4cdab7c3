//! The IPv6 header and its extension chain (RFC 8200).

use super::{Fragmented, Ip};
use crate::Packet;
use esp_common::{Addr, Reason};
use network_types::ip::Ipv6Hdr;

/// Extension headers that are followed. RFC 8200 section 4.1 names at most six in front of ESP.
const MAX_EXTENSIONS: usize = 6;
const HEADER: u32 = Ipv6Hdr::LEN as u32;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;

#[inline(always)] // its result is larger than the registers that a BPF call can return
pub(super) fn read<P: Packet>(packet: &P, start: u32) -> Result<Ip, Reason> {
    let [first, _, _, _, len0, len1, next, _]: [u8; 8] = packet.load(start).ok_or(Reason::Truncated)?;
    let src = address(packet, start.saturating_add(8))?;
    let dst = address(packet, start.saturating_add(24))?;
    // A mapped address never is on the wire (RFC 4291 section 2.5.5.2); as ours it would pass for IPv4.
    if first >> 4 != 6 || src.is_v4() || dst.is_v4() {
        return Err(Reason::Malformed);
    }
    let payload = start.saturating_add(HEADER);
    let end = payload.saturating_add(super::length(packet, payload, u16::from_be_bytes([len0, len1])));
    if end > packet.len() {
        return Err(Reason::Truncated);
    }
    let ip = Ip { src, dst, payload, end, proto: next, family: 6, fragment: Fragmented::No };
    extensions(packet, ip)
}

#[inline(always)] // one load
fn address<P: Packet>(packet: &P, offset: u32) -> Result<Addr, Reason> {
    packet.load(offset).map(Addr::from_v6).ok_or(Reason::Truncated)
}

/// Follows the chain to the upper-layer header; stops at a fragment that is not the first.
#[inline(always)] // as above
fn extensions<P: Packet>(packet: &P, mut ip: Ip) -> Result<Ip, Reason> {
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(ip.proto) {
            return Ok(ip);
        }
        let [next, len, hi, lo]: [u8; 4] = packet.load(ip.payload).ok_or(Reason::Truncated)?;
        let size = if ip.proto == FRAGMENT {
            ip.fragment = fragment(u16::from_be_bytes([hi, lo]), ip.fragment);
            8
        } else {
            u32::from(len).saturating_add(1).saturating_mul(8)
        };
        ip.payload = ip.payload.saturating_add(size);
        ip.proto = next;
        if ip.payload > ip.end {
            return Err(Reason::Truncated);
        }
        if ip.fragment == Fragmented::Later {
            return Ok(ip);
        }
    }
    if is_extension(ip.proto) { Err(Reason::ChainTooLong) } else { Ok(ip) }
}

#[inline(always)] // four compares
fn is_extension(proto: u8) -> bool {
    matches!(proto, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

/// Offset in the upper 13 bits, "more" in the lowest (RFC 8200 section 4.5). An atomic fragment is none (RFC 6946).
#[inline(always)] // two compares
fn fragment(field: u16, before: Fragmented) -> Fragmented {
    match (field >> 3, field & 1) {
        (0, 0) => before,
        (0, _) => Fragmented::First,
        _ => Fragmented::Later,
    }
}
