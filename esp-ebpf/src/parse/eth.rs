//! Ethernet and up to two VLAN tags.

use crate::Packet;
use esp_common::Reason;

/// Tags that are followed: 802.1Q, and 802.1ad in front of it.
const MAX_TAGS: usize = 2;
const HEADER: u32 = 14;
const TAG: u32 = 4;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;

/// Offset of the IP header, and 4 or 6.
#[inline(always)] // the offset must stay a value that the verifier follows
pub(super) fn find_ip<P: Packet>(packet: &P) -> Result<(u32, u8), Reason> {
    let mut offset = HEADER;
    let mut kind = ethertype(packet, HEADER - 2)?;
    for _ in 0..MAX_TAGS {
        if kind != ETHERTYPE_VLAN && kind != ETHERTYPE_QINQ {
            break;
        }
        kind = ethertype(packet, offset.saturating_add(2))?;
        offset = offset.saturating_add(TAG);
    }
    match kind {
        ETHERTYPE_IPV4 => Ok((offset, 4)),
        ETHERTYPE_IPV6 => Ok((offset, 6)),
        _ => Err(Reason::NotIp),
    }
}

#[inline(always)] // one load
fn ethertype<P: Packet>(packet: &P, offset: u32) -> Result<u16, Reason> {
    packet.load(offset).map(u16::from_be_bytes).ok_or(Reason::Truncated)
}
