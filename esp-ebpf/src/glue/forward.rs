//! Transit: the kernel's routes and neighbours, asked at XDP (`bpf_fib_lookup`), and the one place that writes to packets.

use aya_ebpf::{
    bindings::xdp_md,
    btf_maps::{DevMapHash, PerCpuArray},
    helpers::generated::bpf_fib_lookup,
    macros::btf_map,
};
use core::ptr::read_volatile;
use esp_common::names;
use esp_datapath::parse::Ip;

#[btf_map]
static PORTS: DevMapHash<{ names::IFACES as usize }> = DevMapHash::new();

/// One for each CPU: on the stack there is no room for it.
#[btf_map]
static LOOKUP: PerCpuArray<[u64; 8], 1> = PerCpuArray::new();

/// [`esp_common::names::GLOBAL_MAC`].
#[unsafe(no_mangle)]
static MAC: u64 = 0;

/// `struct bpf_fib_lookup` of include/uapi/linux/bpf.h.
#[repr(C)]
struct Lookup {
    family: u8,
    l4_protocol: u8,
    sport: u16,
    dport: u16,
    tot_len: u16,
    ifindex: u32,
    /// `tos` in its first byte, or `flowinfo` as it is on the wire.
    class: u32,
    src: [u32; 4],
    dst: [u32; 4],
    vlan: [u16; 2],
    smac: [u8; 6],
    dmac: [u8; 6],
}

const _: () = assert!(size_of::<Lookup>() == 64);

/// `AF_INET`, `AF_INET6`.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Where the payload is in a frame without a tag, options and extension headers.
const PLAIN_V4: u32 = 14 + 20;
const PLAIN_V6: u32 = 14 + 40;
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
        let to = u64::from(head.cast::<u32>().read_unaligned())
            | u64::from(head.add(4).cast::<u16>().read_unaligned()) << 32;
        let hops = head.add(if v4 { TTL } else { HOP_LIMIT });
        if to != mac || hops.read() <= 1 {
            return false;
        }
        let class = if v4 {
            u32::from(head.add(TOS).read())
        } else {
            head.add(FLOWINFO).cast::<u32>().read_unaligned() & u32::from_be(0x0fff_ffff)
        };
        let Some(lookup) = LOOKUP.get_ptr_mut(0) else {
            return false;
        };
        let lookup = lookup.cast::<Lookup>();
        *lookup = Lookup {
            family: if v4 { AF_INET } else { AF_INET6 },
            l4_protocol: ip.proto,
            sport: 0,
            dport: 0,
            // Of a packet of more than 64 KiB, which no NIC hands over, the stack takes care.
            tot_len: ip.end.wrapping_sub(14) as u16,
            ifindex: (*ctx).ingress_ifindex,
            class,
            src: kernel_address(ip.src.words(), v4),
            dst: kernel_address(ip.dst.words(), v4),
            vlan: [0; 2],
            smac: [0; 6],
            dmac: [0; 6],
        };
        let from = (*lookup).ifindex;
        if bpf_fib_lookup(ctx.cast(), lookup.cast(), size_of::<Lookup>() as i32, 0) != 0
            || (*lookup).ifindex == from
            || PORTS.get_ifindex((*lookup).ifindex).is_none()
            || PORTS.redirect((*lookup).ifindex, 0).is_err()
        {
            return false;
        }
        head.cast::<[u8; 6]>().write_unaligned((*lookup).dmac);
        head.add(6).cast::<[u8; 6]>().write_unaligned((*lookup).smac);
        hops.write(hops.read().wrapping_sub(1));
        if v4 {
            // RFC 1624: the hop limit is the upper half of its word.
            let sum = head.add(CHECKSUM).cast::<u16>();
            let more = u32::from(sum.read_unaligned()).wrapping_add(u32::from(0x0100_u16.to_be()));
            sum.write_unaligned((more.wrapping_add(u32::from(more >= 0xffff))) as u16);
        }
    }
    true
}

/// An IPv4 address stands in the first word.
#[inline(always)] // its result is larger than the registers that a BPF call can return
fn kernel_address([a, b]: [u64; 2], v4: bool) -> [u32; 4] {
    let words = [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32];
    if v4 { [words[3], 0, 0, 0] } else { words }
}
