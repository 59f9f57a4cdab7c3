//! `RTM_NEWADDR` and `RTM_NEWLINK` (`include/uapi/linux/{rtnetlink,if_addr,if_link}.h`).

use super::Link;
use crate::nl::fields::{Attrs, DecodeError, Fields};
use crate::nl::frame::Frame;
use std::net::IpAddr;

/// `RTM_NEWLINK`.
pub const NEWLINK: u16 = 16;
/// `RTM_DELLINK`.
pub const DELLINK: u16 = 17;
/// `RTM_NEWADDR`.
pub const NEWADDR: u16 = 20;
/// `RTM_DELADDR`.
pub const DELADDR: u16 = 21;

/// The address of `RTM_NEWADDR`; `None` for other kinds and families.
///
/// # Errors
/// A short structure or attribute.
pub fn address(frame: &Frame<'_>) -> Result<Option<IpAddr>, DecodeError> {
    /// `IFA_ADDRESS`: on a point-to-point link this is the peer.
    const ADDRESS: u16 = 1;
    /// `IFA_LOCAL`: not there for most of IPv6.
    const LOCAL: u16 = 2;
    let fields = Fields::new(frame.body);
    let family = u16::from(fields.u8(0)?);
    if frame.kind != NEWADDR || !matches!(i32::from(family), libc::AF_INET | libc::AF_INET6) {
        return Ok(None);
    }
    let attrs = fields.attrs(8);
    let found = attrs.find(LOCAL).or_else(|| attrs.find(ADDRESS)).ok_or(DecodeError::Missing(ADDRESS))?;
    found.addr(0, family).map(Some)
}

/// The link of `RTM_NEWLINK` or `RTM_DELLINK`; `None` for other kinds, and for what a bridge says of its ports:
/// its `RTM_DELLINK` means that a port left, not that the link is gone.
///
/// # Errors
/// A short structure or attribute.
pub fn link(frame: &Frame<'_>) -> Result<Option<Link>, DecodeError> {
    /// `IFLA_IFNAME`.
    const IFNAME: u16 = 3;
    /// `IFLA_MTU`.
    const MTU: u16 = 4;
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
