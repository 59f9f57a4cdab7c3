//! UDP: what RFC 3948 puts on port 4500, or on others that are named, and IKE on 500.

use super::{Fragmented, Ip, Upper, esp};
use crate::Packet;
use esp_common::{Reason, Wire};

const HEADER: u32 = 8;
const IKE: u16 = 500;
const KEEPALIVE: u8 = 0xff;

#[inline(always)] // its result is larger than the registers that a BPF call can return
pub(super) fn read<P: Packet>(packet: &P, ip: &Ip, wire: &Wire) -> Result<Upper, Reason> {
    let start = ip.payload.saturating_add(HEADER);
    if start > ip.end {
        return Err(Reason::Truncated);
    }
    let [s0, s1, d0, d1, len0, len1, _, _]: [u8; HEADER as usize] =
        packet.load(ip.payload).ok_or(Reason::Truncated)?;
    let (sport, dport) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    if sport == IKE || dport == IKE {
        return Ok(Upper::Ike);
    }
    let to_port = wire.is_natt(dport);
    if !to_port && !wire.is_natt(sport) {
        return Ok(Upper::Other);
    }
    let len = u32::from(u16::from_be_bytes([len0, len1]));
    match end(ip, len).and_then(|end| encapsulated(packet, start, end, to_port)) {
        // Only the source is such a port: some client's ephemeral port, which owes nothing to RFC 3948.
        Err(_) if !to_port => Ok(Upper::Other),
        found => found,
    }
}

/// Offset behind the datagram's last byte. A first fragment holds less than the UDP length says.
#[inline(always)] // a few compares
fn end(ip: &Ip, len: u32) -> Result<u32, Reason> {
    if len < HEADER {
        return Err(Reason::Malformed);
    }
    let end = ip.payload.saturating_add(len);
    match ip.fragment {
        Fragmented::No if end > ip.end => Err(Reason::Truncated),
        Fragmented::No => Ok(end),
        Fragmented::First | Fragmented::Later => Ok(ip.end),
    }
}

/// Four zero bytes are the non-ESP marker, one 0xFF alone is a keepalive, less than a header is neither
/// (RFC 3948 sections 2.2 to 2.4).
#[inline(always)] // as above
fn encapsulated<P: Packet>(packet: &P, start: u32, end: u32, to_port: bool) -> Result<Upper, Reason> {
    let len = end.saturating_sub(start);
    if len == 1 {
        let [byte] = packet.load(start).ok_or(Reason::Truncated)?;
        return if byte == KEEPALIVE { Ok(Upper::Keepalive) } else { Err(Reason::Truncated) };
    }
    if len < 4 {
        return Err(Reason::Truncated);
    }
    let marker: [u8; 4] = packet.load(start).ok_or(Reason::Truncated)?;
    if marker == [0; 4] {
        return Ok(Upper::Ike);
    }
    Ok(Upper::EspInUdp { esp: esp(packet, start, end)?, to_port })
}
