//! The IPv4 header (RFC 791).

use super::{Fragmented, Ip};
use crate::Packet;
use esp_common::{Addr, Reason};
use network_types::ip::Ipv4Hdr;

const HEADER: u32 = Ipv4Hdr::LEN as u32;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET_MASK: u16 = 0x1fff;

#[inline(always)] // its result is larger than the registers that a BPF call can return
pub(super) fn read<P: Packet>(packet: &P, start: u32) -> Result<Ip, Reason> {
    let bytes: [u8; Ipv4Hdr::LEN] = packet.load(start).ok_or(Reason::Truncated)?;
    let [first, _, len0, len1, _, _, frag0, frag1, _, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = bytes;
    let header = u32::from(first & 0x0f).saturating_mul(4);
    let total = super::length(packet, start, u16::from_be_bytes([len0, len1]));
    if first >> 4 != 4 || header < HEADER || total < header {
        return Err(Reason::Malformed);
    }
    let end = start.saturating_add(total);
    if end > packet.len() {
        return Err(Reason::Truncated);
    }
    let flags = u16::from_be_bytes([frag0, frag1]);
    let fragment = match (flags & OFFSET_MASK, flags & MORE_FRAGMENTS) {
        (0, 0) => Fragmented::No,
        (0, _) => Fragmented::First,
        _ => Fragmented::Later,
    };
    Ok(Ip {
        src: Addr::from_v4([s0, s1, s2, s3]),
        dst: Addr::from_v4([d0, d1, d2, d3]),
        payload: start.saturating_add(header),
        end,
        proto,
        family: 4,
        fragment,
    })
}
