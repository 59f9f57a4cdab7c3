//! `RTM_NEWADDR`, `RTM_NEWLINK` and `RTM_NEWROUTE` (`include/uapi/linux/{rtnetlink,if_addr,if_link}.h`).

use super::Link;
use crate::nl::fields::{Attrs, DecodeError, Fields};
use crate::nl::frame::Frame;
use crate::xfrm::model::Net;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `RTM_NEWLINK`.
pub const NEWLINK: u16 = 16;
/// `RTM_DELLINK`.
pub const DELLINK: u16 = 17;
/// `RTM_NEWADDR`.
pub const NEWADDR: u16 = 20;
/// `RTM_DELADDR`.
pub const DELADDR: u16 = 21;
/// `RTM_NEWROUTE`.
pub const NEWROUTE: u16 = 24;
/// `RTM_DELROUTE`.
pub const DELROUTE: u16 = 25;

/// `IFA_ADDRESS`: on a point-to-point link this is the peer. `IFLA_ADDRESS` of a link has the same number.
pub(super) const ADDRESS: u16 = 1;
/// `IFA_LOCAL`: not there for most of IPv6.
pub(super) const LOCAL: u16 = 2;
/// `IFLA_IFNAME`.
pub(super) const IFNAME: u16 = 3;
/// `IFLA_MTU`.
pub(super) const MTU: u16 = 4;
/// `IFLA_LINKINFO`.
pub(super) const LINKINFO: u16 = 18;
/// `IFLA_INFO_KIND`.
pub(super) const INFO_KIND: u16 = 1;
/// `IFLA_INFO_DATA`.
pub(super) const INFO_DATA: u16 = 2;
/// The kind of an XFRM interface.
pub(super) const XFRM: &[u8] = b"xfrm";
/// `IFLA_XFRM_IF_ID`.
pub(super) const IF_ID: u16 = 2;
/// `RTA_DST`: not there for a default route.
pub(super) const DST: u16 = 1;
/// `RTA_OIF`.
pub(super) const OIF: u16 = 4;
/// `RTA_PRIORITY`.
pub(super) const PRIORITY: u16 = 6;
/// `RT_TABLE_MAIN`.
pub(super) const MAIN: u8 = 254;
/// `RTN_UNICAST`.
pub(super) const UNICAST: u8 = 1;

/// An address of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The interface.
    pub ifindex: u32,
    /// Address and prefix length.
    pub net: Net,
}

/// A route of the main table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The interface; 0 for a route over several.
    pub ifindex: u32,
    /// Where to.
    pub dst: Net,
    /// The smaller wins.
    pub metric: u32,
}

/// The address of `RTM_NEWADDR`; `None` for other kinds and families.
///
/// # Errors
/// A short structure or attribute.
pub fn address(frame: &Frame<'_>) -> Result<Option<Address>, DecodeError> {
    let fields = Fields::new(frame.body);
    let family = u16::from(fields.u8(0)?);
    if frame.kind != NEWADDR || !is_ip(family) {
        return Ok(None);
    }
    let attrs = fields.attrs(8);
    let found = attrs.find(LOCAL).or_else(|| attrs.find(ADDRESS)).ok_or(DecodeError::Missing(ADDRESS))?;
    let net = Net { addr: found.addr(0, family)?, len: fields.u8(1)? };
    Ok(Some(Address { ifindex: fields.u32(4)?, net }))
}

/// The route of `RTM_NEWROUTE` or `RTM_DELROUTE`; `None` for other kinds and families, other tables, routes of another
/// type, those that the kernel makes for addresses, and exceptions (`RTM_F_CLONED`).
///
/// # Errors
/// A short structure or attribute.
pub fn route(frame: &Frame<'_>) -> Result<Option<Route>, DecodeError> {
    /// `RTPROT_KERNEL`.
    const KERNEL: u8 = 2;
    /// `RTM_F_CLONED`.
    const CLONED: u32 = 0x200;
    let fields = Fields::new(frame.body);
    let family = u16::from(fields.u8(0)?);
    if !matches!(frame.kind, NEWROUTE | DELROUTE) || !is_ip(family) {
        return Ok(None);
    }
    let (table, protocol, kind) = (fields.u8(4)?, fields.u8(5)?, fields.u8(7)?);
    if (table, kind) != (MAIN, UNICAST) || protocol == KERNEL || fields.u32(8)? & CLONED != 0 {
        return Ok(None);
    }
    let attrs = fields.attrs(12);
    let any: IpAddr = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    };
    let addr = attrs.find(DST).map_or(Ok(any), |dst| dst.addr(0, family))?;
    let number = |kind| attrs.find(kind).map_or(Ok(0), |number| number.u32(0));
    let dst = Net { addr, len: fields.u8(1)? };
    Ok(Some(Route { ifindex: number(OIF)?, dst, metric: number(PRIORITY)? }))
}

fn is_ip(family: u16) -> bool {
    matches!(i32::from(family), libc::AF_INET | libc::AF_INET6)
}

/// The link of `RTM_NEWLINK` or `RTM_DELLINK`; `None` for other kinds, and for what a bridge says of its ports:
/// its `RTM_DELLINK` means that a port left, not that the link is gone.
///
/// # Errors
/// A short structure or attribute.
pub fn link(frame: &Frame<'_>) -> Result<Option<Link>, DecodeError> {
    let fields = Fields::new(frame.body);
    if !matches!(frame.kind, NEWLINK | DELLINK) || i32::from(fields.u8(0)?) != libc::AF_UNSPEC {
        return Ok(None);
    }
    let attrs = fields.attrs(16);
    let name = attrs.find(IFNAME).ok_or(DecodeError::Missing(IFNAME))?.rest();
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Some(Link {
        ifindex: fields.u32(4)?,
        name: String::from_utf8_lossy(name).into_owned(),
        up: fields.u32(8)? & libc::IFF_UP.cast_unsigned() != 0,
        ethernet: fields.u16(2)? == libc::ARPHRD_ETHER,
        mtu: attrs.find(MTU).map_or(Ok(0), |mtu| mtu.u32(0))?,
        xdp_prog_id: xdp(attrs)?,
        mac: attrs.find(ADDRESS).and_then(|mac| mac.array(0).ok()).unwrap_or_default(),
        xfrm_if_id: xfrm(attrs)?,
    }))
}

fn xdp(attrs: Attrs<'_>) -> Result<Option<u32>, DecodeError> {
    /// `IFLA_XDP`.
    const XDP: u16 = 43;
    /// `IFLA_XDP_PROG_ID`, absent when programs of several modes are attached; then `_DRV_`, `_SKB_`, `_HW_`.
    const PROG_IDS: [u16; 4] = [4, 5, 6, 7];
    let Some(nested) = attrs.find(XDP).map(|xdp| xdp.attrs(0)) else { return Ok(None) };
    PROG_IDS.into_iter().find_map(|kind| nested.find(kind)).map(|id| id.u32(0)).transpose()
}

/// The if_id of an XFRM interface; one that takes it from each packet (`external`, Linux 6.1) has none.
fn xfrm(attrs: Attrs<'_>) -> Result<Option<u32>, DecodeError> {
    let Some(info) = attrs.find(LINKINFO).map(|info| info.attrs(0)) else { return Ok(None) };
    let kind = info.find(INFO_KIND).map(Fields::rest).unwrap_or_default();
    // Kernels end the text with a zero byte, or do not.
    if kind.strip_suffix(b"\0").unwrap_or(kind) != XFRM {
        return Ok(None);
    }
    let data = info.find(INFO_DATA).map(|data| data.attrs(0));
    data.and_then(|data| data.find(IF_ID)).map(|id| id.u32(0)).transpose()
}
