//! Where the kernel would send a packet on: its routes and neighbours, asked at XDP (`bpf_fib_lookup`).

use super::kept::{self, KEPT};
use aya_ebpf::{
    bindings::xdp_md,
    btf_maps::PerCpuArray,
    helpers::generated::{bpf_fib_lookup, bpf_jiffies64},
    macros::btf_map,
};
use esp_common::Addr;
use esp_datapath::parse::Ip;

/// What the kernel is asked: on the stack there is no room for it.
#[btf_map]
static LOOKUP: PerCpuArray<[u64; 8], 1> = PerCpuArray::new();

/// What the kernel has answered. The lookup takes most of what a packet costs here.
#[btf_map]
static ANSWERS: PerCpuArray<Answer, { KEPT as usize }> = PerCpuArray::new();

/// An answer, for as long as jiffies stand still: a route or a neighbour that changes is missed for no more than a tick (1 to
/// 10 ms). An interface that goes is not: it leaves the map of ports at once.
#[repr(C)]
struct Answer {
    jiffies: u64,
    src: Addr,
    dst: Addr,
    asked: Asked,
    /// The longest packet that went: the kernel alone knows the MTU.
    len: u32,
    route: Route,
}

/// What a packet is asked for beside its addresses.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// `tos` in its first byte, or `flowinfo` as it is on the wire.
    pub(super) class: u32,
    /// The interface it came by.
    pub(super) from: u32,
    /// What follows the IP header.
    pub(super) proto: u32,
}

/// Where a packet goes.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// The interface.
    pub(super) to: u32,
    /// Twelve bytes of its Ethernet header: destination, then source.
    pub(super) macs: [u16; 6],
}

/// `struct bpf_fib_lookup` of include/uapi/linux/bpf.h.
#[repr(C)]
struct Lookup {
    family: u8,
    l4_protocol: u8,
    sport: u16,
    dport: u16,
    tot_len: u16,
    ifindex: u32,
    class: u32,
    src: [u32; 4],
    dst: [u32; 4],
    vlan: [u16; 2],
    smac: [u16; 3],
    dmac: [u16; 3],
}

const _: () = assert!(size_of::<Lookup>() == 64);

/// `AF_INET`, `AF_INET6`.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The route of a packet of so many bytes behind its Ethernet header; `None` where the kernel has none or no neighbour yet,
/// its MTU is less, or it would go back where it came from.
#[inline(always)] // the verifier follows the context
pub(super) fn find(ctx: *mut xdp_md, ip: &Ip, asked: Asked, len: u32) -> Option<Route> {
    let answer = ANSWERS.get_ptr_mut(place(ip))?;
    // SAFETY: a pointer into this CPU's own value; XDP runs with migration disabled, and one program after the other.
    let answer = unsafe { &mut *answer };
    // SAFETY: the helper takes no argument and is there since Linux 5.6.
    let jiffies = unsafe { bpf_jiffies64() };
    let same = answer.jiffies == jiffies
        && answer.src == ip.src
        && answer.dst == ip.dst
        && answer.asked == asked
        && len <= answer.len;
    if !same {
        let route = ask(ctx, ip, asked, len)?;
        *answer = Answer { jiffies, src: ip.src, dst: ip.dst, asked, len, route };
    }
    Some(answer.route)
}

#[inline(always)] // as above
fn ask(ctx: *mut xdp_md, ip: &Ip, asked: Asked, len: u32) -> Option<Route> {
    let v4 = ip.family == 4;
    let lookup = LOOKUP.get_ptr_mut(0)?.cast::<Lookup>();
    // SAFETY: a pointer into this CPU's own value, which has that size; `ctx` is the program's context.
    unsafe {
        *lookup = Lookup {
            family: if v4 { AF_INET } else { AF_INET6 },
            l4_protocol: asked.proto as u8,
            sport: 0,
            dport: 0,
            // Of a packet of more than 64 KiB, which no NIC hands over, the stack takes care.
            tot_len: len as u16,
            ifindex: asked.from,
            class: asked.class,
            src: kernel_address(ip.src, v4),
            dst: kernel_address(ip.dst, v4),
            vlan: [0; 2],
            smac: [0; 3],
            dmac: [0; 3],
        };
        if bpf_fib_lookup(ctx.cast(), lookup.cast(), size_of::<Lookup>() as i32, 0) != 0
            || (*lookup).ifindex == asked.from
        {
            return None;
        }
        let ([a, b, c], [d, e, f]) = ((*lookup).dmac, (*lookup).smac);
        Some(Route { to: (*lookup).ifindex, macs: [a, b, c, d, e, f] })
    }
}

/// By both addresses.
#[inline(always)] // a multiplication
const fn place(ip: &Ip) -> u32 {
    let ([a, b], [c, d]) = (ip.src.words(), ip.dst.words());
    kept::place(a ^ b.rotate_left(16) ^ c.rotate_left(32) ^ d.rotate_left(24))
}

/// An IPv4 address stands in the first word.
#[inline(always)] // its result is larger than the registers that a BPF call can return
fn kernel_address(addr: Addr, v4: bool) -> [u32; 4] {
    let [a, b] = addr.words();
    let words = [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32];
    if v4 { [words[3], 0, 0, 0] } else { words }
}
