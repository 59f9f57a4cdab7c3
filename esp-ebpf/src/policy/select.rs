//! From a packet to the fields that a selector compares.

use crate::{
    Packet,
    parse::{Fragmented, Ip},
};
use esp_common::{Selector, selector::has_ports};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Their "ports" are elsewhere: the key of GRE, the type of Mobile IPv6.
const WITH_OTHER_PORTS: [u8; 2] = [47, 135];

/// The fields as the kernel's flow has them (`xfrm_decode_session`): type and code for ICMP. What the packet does not
/// show stays unknown.
#[inline(always)] // its result is larger than the registers that a BPF call can return
pub(super) fn fields<P: Packet>(packet: &P, ip: &Ip) -> Selector {
    let (sport, dport) = ports(packet, ip);
    let hidden = ip.fragment != Fragmented::No || WITH_OTHER_PORTS.contains(&ip.proto);
    let port_mask = if hidden { 0 } else { u16::MAX };
    Selector { src: ip.src, dst: ip.dst, sport, dport, proto: ip.proto, family: ip.family, port_mask }
}

#[inline(always)] // as above
fn ports<P: Packet>(packet: &P, ip: &Ip) -> (u16, u16) {
    if ip.fragment != Fragmented::No || ip.payload.saturating_add(4) > ip.end {
        return (0, 0);
    }
    let [a, b, c, d]: [u8; 4] = packet.load(ip.payload).unwrap_or([0; 4]);
    if has_ports(ip.proto) {
        return (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    }
    if ip.proto == ICMP || ip.proto == ICMPV6 {
        return (u16::from(a), u16::from(b));
    }
    (0, 0)
}
