//! Transit: the one place that writes to packets.

use super::{
    route::{self, Asked, Route},
    word::{load, store},
};
use aya_ebpf::{bindings::xdp_md, btf_maps::DevMapHash, macros::btf_map};
use core::ptr::read_volatile;
use esp_common::names;
use esp_datapath::parse::Ip;

#[btf_map]
static PORTS: DevMapHash<{ names::IFACES as usize }> = DevMapHash::new();

/// [`esp_common::names::GLOBAL_MAC`].
#[unsafe(no_mangle)]
static MAC: u64 = 0;

/// Where the payload is in a frame without a tag, options and extension headers.
const PLAIN_V4: u32 = 14 + 20;
const PLAIN_V6: u32 = 14 + 40;
/// Where the IP header is.
const IP: u32 = 14;
/// Offsets of the fields that forwarding looks at.
const TOS: usize = 15;
const TTL: usize = 22;
const CHECKSUM: usize = 24;
const FLOWINFO: usize = 14;
const HOP_LIMIT: usize = 21;

/// Rewrites the frame and redirects it. False, and nothing was changed, where it is no plain case: not for our MAC address, a
/// tag, options, extension headers, a hop limit that runs out, no route, no neighbour yet, larger than the MTU, or an
/// interface that is not ours.
#[inline(always)] // packet pointers do not survive a call
pub(super) fn forward(ctx: *mut xdp_md, data: usize, end: usize, ip: &Ip) -> bool {
    let v4 = ip.family == 4;
    if ip.payload != if v4 { PLAIN_V4 } else { PLAIN_V6 } || data.wrapping_add(PLAIN_V4 as usize) > end {
        return false;
    }
    // SAFETY: both programs' frames are checked above to reach behind the offsets of an IPv4 header without options, which
    // are behind those of IPv6 that are looked at.
    unsafe {
        let head = data as *mut u8;
        let mac = read_volatile(&raw const MAC);
        let to = load!("u32", head) | load!("u16", head.add(4)) << 32;
        let hops = head.add(if v4 { TTL } else { HOP_LIMIT });
        if to != mac || hops.read() <= 1 {
            return false;
        }
        let class = if v4 {
            u32::from(head.add(TOS).read())
        } else {
            load!("u32", head.add(FLOWINFO)) as u32 & u32::from_be(0x0fff_ffff)
        };
        let asked = Asked { class, from: (*ctx).ingress_ifindex, proto: ip.proto.into() };
        let Some(Route { to, macs }) = route::find(ctx, ip, asked, ip.end.wrapping_sub(IP)) else {
            return false;
        };
        // It says so itself where there is no such port (DEVMAP_HASH, Linux 5.6).
        if PORTS.redirect(to, 0).is_err() {
            return false;
        }
        for (at, word) in (0..).step_by(size_of::<u16>()).zip(macs) {
            store!("u16", head.add(at), u64::from(word));
        }
        hops.write(hops.read().wrapping_sub(1));
        if v4 {
            // RFC 1624: the hop limit is the upper half of its word.
            let sum = head.add(CHECKSUM);
            let more = (load!("u16", sum) as u32).wrapping_add(u32::from(0x0100_u16.to_be()));
            store!("u16", sum, u64::from(more.wrapping_add(u32::from(more >= 0xffff))));
        }
    }
    true
}
