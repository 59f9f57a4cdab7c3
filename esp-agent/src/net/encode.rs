//! Requests about XFRM interfaces, their addresses and routes (`include/uapi/linux/{rtnetlink,if_addr,if_link}.h`).

use super::decode::{
    ADDRESS, DELADDR, DELLINK, DELROUTE, DST, IF_ID, IFNAME, INFO_DATA, INFO_KIND, LINKINFO, LOCAL, MAIN,
    MTU, NEWADDR, NEWLINK, NEWROUTE, OIF, PRIORITY, UNICAST, XFRM,
};
use crate::nl::message::{ACK, DUMP, Message, REQUEST, family};
use crate::xfrm::interface::XfrmLink;
use crate::xfrm::model::Net;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// `NLM_F_CREATE | NLM_F_EXCL`.
const CREATE: u16 = 0x400 | 0x200;
/// `RTM_GETLINK`.
const GETLINK: u16 = 18;
/// `RTM_GETADDR`.
const GETADDR: u16 = 22;
/// `RTM_GETROUTE`.
const GETROUTE: u16 = 26;
/// `IFF_UP`.
const UP: u32 = libc::IFF_UP.cast_unsigned();

/// Makes the interface, up.
pub fn new_link(link: &XfrmLink) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(NEWLINK, REQUEST | ACK | CREATE);
    named(&mut message, &link.name, UP);
    message.attr32(MTU, link.mtu);
    message.attr(LINKINFO, |info| {
        info.attr(INFO_KIND, |kind| {
            kind.bytes(XFRM).u8(0);
        });
        info.attr(INFO_DATA, |data| {
            data.attr32(IF_ID, link.if_id);
        });
    });
    message.finish()
}

/// Sets the MTU of an interface that is there, and sets it up.
pub fn set_link(link: &XfrmLink) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(NEWLINK, REQUEST | ACK);
    named(&mut message, &link.name, UP);
    message.attr32(MTU, link.mtu);
    message.finish()
}

/// Deletes the interface.
pub fn del_link(name: &str) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(DELLINK, REQUEST | ACK);
    named(&mut message, name, 0);
    message.finish()
}

/// Asks for one interface.
pub fn get_link(name: &str) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(GETLINK, REQUEST | ACK);
    named(&mut message, name, 0);
    message.finish()
}

/// Asks for all interfaces.
pub fn get_links() -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(GETLINK, REQUEST | DUMP);
    message.zeros(16);
    message.finish()
}

/// Asks for all addresses, or for those of one interface: the others are left out where the socket is strict
/// (Linux 4.20).
pub fn get_addresses(ifindex: Option<u32>) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(GETADDR, REQUEST | DUMP);
    message.zeros(4).u32(ifindex.unwrap_or(0));
    message.finish()
}

/// Asks for all routes of a family over an interface; the others are left out where the socket is strict.
pub fn get_routes(family: i32, ifindex: u32) -> Zeroizing<Vec<u8>> {
    let mut message = Message::new(GETROUTE, REQUEST | DUMP);
    message.u8(u8::try_from(family).unwrap_or_default()).zeros(11);
    message.attr32(OIF, ifindex);
    message.finish()
}

/// Gives an interface an address.
pub fn new_address(ifindex: u32, net: Net) -> Zeroizing<Vec<u8>> {
    address(Message::new(NEWADDR, REQUEST | ACK | CREATE), ifindex, net)
}

/// Takes an address from an interface.
pub fn del_address(ifindex: u32, net: Net) -> Zeroizing<Vec<u8>> {
    address(Message::new(DELADDR, REQUEST | ACK), ifindex, net)
}

/// Makes a route in the main table over an interface.
pub fn new_route(ifindex: u32, dst: Net, metric: u32) -> Zeroizing<Vec<u8>> {
    /// `RT_SCOPE_LINK`: what is behind a link without a next hop. IPv6 has no scopes.
    const LINK: u8 = 253;
    let scope = if dst.addr.is_ipv4() { LINK } else { 0 };
    route(Message::new(NEWROUTE, REQUEST | ACK | CREATE), scope, ifindex, dst, metric)
}

/// Deletes a route of the main table over an interface.
pub fn del_route(ifindex: u32, dst: Net, metric: u32) -> Zeroizing<Vec<u8>> {
    /// `RT_SCOPE_NOWHERE`: of whatever scope.
    const ANY: u8 = 255;
    route(Message::new(DELROUTE, REQUEST | ACK), ANY, ifindex, dst, metric)
}

fn named(message: &mut Message, name: &str, flags: u32) {
    message.zeros(8).u32(flags).u32(flags);
    message.attr(IFNAME, |text| {
        text.bytes(name.as_bytes()).u8(0);
    });
}

fn address(mut message: Message, ifindex: u32, net: Net) -> Zeroizing<Vec<u8>> {
    message.u8(family8(net.addr)).u8(net.len).zeros(2).u32(ifindex);
    for kind in [LOCAL, ADDRESS] {
        message.attr(kind, |addr| octets(addr, net.addr));
    }
    message.finish()
}

fn route(mut message: Message, scope: u8, ifindex: u32, dst: Net, metric: u32) -> Zeroizing<Vec<u8>> {
    /// `RTPROT_STATIC`.
    const STATIC: u8 = 4;
    message.u8(family8(dst.addr)).u8(dst.len).zeros(2).u8(MAIN).u8(STATIC).u8(scope).u8(UNICAST).u32(0);
    if dst.len > 0 {
        message.attr(DST, |addr| octets(addr, dst.addr));
    }
    message.attr32(OIF, ifindex);
    if metric > 0 {
        message.attr32(PRIORITY, metric);
    }
    message.finish()
}

fn octets(message: &mut Message, addr: IpAddr) {
    match addr {
        IpAddr::V4(v4) => message.bytes(&v4.octets()),
        IpAddr::V6(v6) => message.bytes(&v6.octets()),
    };
}

fn family8(addr: IpAddr) -> u8 {
    u8::try_from(family(addr)).unwrap_or_default()
}
