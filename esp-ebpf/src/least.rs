//! The bench's floors: the least that a program can do in the place of ours.
//!
//! An object of its own, so that nothing of it is in the datapath's; what parses is the datapath's parser with its loads.
#![no_std]
#![no_main]
// As in main.rs.
#![feature(asm_experimental_arch)]

mod bare;
mod object;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{xdp_action, xdp_md},
    btf_maps::DevMap,
    helpers::generated::bpf_fib_lookup,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use bare::frame::Frame;
use esp_common::Wire;
use esp_datapath::{
    Link,
    parse::{self, Upper},
};

/// Where [`esp_swap`] and [`esp_route`] send to.
#[btf_map]
static LEAST_PORT: DevMap<1> = DevMap::new();

/// The port of RFC 3948 and no other.
const WIRE: Wire = Wire { natt_ports: [Wire::NATT; 4], ping_spis: [0; 4], pad: [0; 4] };

/// Drops.
#[xdp]
pub(crate) fn esp_drop(_: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// Passes.
#[xdp]
pub(crate) fn esp_pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Parses; the SPI decides, so that it must be read.
#[xdp]
pub(crate) fn esp_parse(ctx: XdpContext) -> u32 {
    let frame = Frame::of_xdp(&ctx);
    let upper = parse::ip(&frame, Link::Ethernet).and_then(|ip| parse::upper(&frame, &ip, &WIRE));
    match upper {
        Ok(Upper::Esp(esp) | Upper::EspInUdp { esp, .. }) if esp.spi.number() != 1 => xdp_action::XDP_PASS,
        Ok(Upper::Ike | Upper::Keepalive | Upper::Fragment | Upper::Other) => xdp_action::XDP_PASS,
        Ok(Upper::Esp(_) | Upper::EspInUdp { .. }) | Err(_) => xdp_action::XDP_DROP,
    }
}

/// Bytes of an Ethernet and an IPv4 header, and where that has its addresses.
const HEADERS: usize = 34;
const ADDRESSES: usize = 26;

/// Exchanges the MAC addresses and sends the frame on, to where it always goes: forwarding without a route.
#[xdp]
pub(crate) fn esp_swap(ctx: XdpContext) -> u32 {
    sent(&ctx, |_| true)
}

/// The same, after the kernel was asked for the route and the neighbour of an IPv4 packet.
#[xdp]
pub(crate) fn esp_route(ctx: XdpContext) -> u32 {
    sent(&ctx, |[src, dst]| {
        let from: *mut xdp_md = ctx.as_ptr().cast();
        // `struct bpf_fib_lookup`: AF_INET and the protocol, no ports, the interface, no TOS, the addresses, room for the answer.
        let family = u32::from_ne_bytes([2, parse::ESP, 0, 0]);
        // SAFETY: the program's context.
        let ifindex = unsafe { (*from).ingress_ifindex };
        let mut lookup = [family, 0, ifindex, 0, src, 0, 0, 0, dst, 0, 0, 0, 0, 0, 0, 0];
        let size = size_of_val(&lookup) as i32;
        // SAFETY: the context, and a buffer of the size that is passed.
        unsafe { bpf_fib_lookup(from.cast(), (&raw mut lookup).cast(), size, 0) == 0 }
    })
}

/// Sends a frame on if `may` says so of its addresses.
#[inline(always)] // packet pointers do not survive a call
fn sent(ctx: &XdpContext, may: impl FnOnce([u32; 2]) -> bool) -> u32 {
    let data = ctx.data();
    if data + HEADERS > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: the line above proved that so many bytes from the start lie before the frame's end. Frames start at even addresses.
    let [a, b, c, d] = unsafe { ((data + ADDRESSES) as *const [u16; 4]).read() }.map(u32::from);
    if !may([a | b << 16, c | d << 16]) {
        return xdp_action::XDP_ABORTED;
    }
    let macs = data as *mut [u16; 6];
    // SAFETY: as above.
    unsafe {
        let [a, b, c, d, e, f] = macs.read();
        macs.write([d, e, f, a, b, c]);
    }
    match LEAST_PORT.redirect(0, 0) {
        Ok(_) => xdp_action::XDP_REDIRECT,
        Err(_) => xdp_action::XDP_ABORTED,
    }
}
