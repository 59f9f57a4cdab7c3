//! The bench's drivers: they give each packet another SPI and its next sequence number, then go on in the program under test, or
//! send it to a cable.
//!
//! An object of its own, so that nothing of it is in the datapath's.
#![no_std]
#![no_main]
// As in main.rs.
#![feature(asm_experimental_arch)]

mod object;
#[expect(unused_macros, unused_imports, reason = "nothing is loaded here")]
#[path = "glue/word.rs"]
mod word;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, DevMap, ProgramArray},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use core::ptr::read_volatile;
use word::store;

/// Where the SPI is in the frame.
#[unsafe(no_mangle)]
static SPI_OFFSET: u32 = 0;
/// The binary logarithm of how many SPIs there are.
#[unsafe(no_mangle)]
static SPI_BITS: u32 = 0;
/// The first SPI.
#[unsafe(no_mangle)]
static SPI_BASE: u32 = 0;

/// Packets so far. Each round goes through all SPIs once, and each of them has the next sequence number then.
static mut PACKETS: u64 = 0;

/// 1 where the headers of each packet are written anew: what is under test may change them.
#[unsafe(no_mangle)]
static RESTORE: u32 = 0;

/// An Ethernet and an IPv4 header.
const HEADERS: usize = 34;

#[btf_map]
static HEADER: Array<[u8; 40], 1> = Array::new();
#[btf_map]
static JUMP: ProgramArray<1> = ProgramArray::new();
/// Where a flood goes.
#[btf_map]
static CABLE: DevMap<1> = DevMap::new();

/// Longest offset, 1 less a power of two for the verifier.
const MAX_OFFSET: usize = 0x7f;

/// Writes SPI and sequence number and jumps. `XDP_ABORTED` when the frame has none or the jump failed.
#[xdp]
pub(crate) fn esp_vary(ctx: XdpContext) -> u32 {
    if written(&ctx).is_some() {
        // SAFETY: nothing is left to be dropped.
        unsafe { JUMP.tail_call(&ctx, 0) };
    }
    xdp_action::XDP_ABORTED
}

/// Writes them and sends the frame to the cable. `XDP_ABORTED` when the frame has none or there is no cable.
#[xdp]
pub(crate) fn esp_flood(ctx: XdpContext) -> u32 {
    match written(&ctx).map(|()| CABLE.redirect(0, 0)) {
        Some(Ok(_)) => xdp_action::XDP_REDIRECT,
        Some(Err(_)) | None => xdp_action::XDP_ABORTED,
    }
}

/// Writes what varies; `None` when the frame is too short.
#[inline(always)] // packet pointers do not survive a call
fn written(ctx: &XdpContext) -> Option<()> {
    // SAFETY: statics of this object; BPF_PROG_TEST_RUN runs one program at a time here.
    let (offset, bits, base, packet) = unsafe {
        let packet = (&raw const PACKETS).read_volatile();
        (&raw mut PACKETS).write_volatile(packet.wrapping_add(1));
        (read_volatile(&SPI_OFFSET), read_volatile(&SPI_BITS) & 31, read_volatile(&SPI_BASE), packet)
    };
    // SAFETY: a static of this object.
    if unsafe { read_volatile(&RESTORE) } != 0 {
        let header = HEADER.get_ptr(0)?;
        if ctx.data() + HEADERS > ctx.data_end() {
            return None;
        }
        // SAFETY: the line above proved that so many bytes from the start lie before the frame's end.
        unsafe {
            (ctx.data() as *mut [u8; HEADERS])
                .write_unaligned(header.cast::<[u8; HEADERS]>().read_unaligned())
        };
    }
    let at = ctx.data() + (offset as usize & MAX_OFFSET);
    if at + size_of::<u64>() > ctx.data_end() {
        return None;
    }
    let (spi, seq) = (base.wrapping_add(shuffled(packet as u32, bits)), (packet >> bits) as u32);
    // SAFETY: the line above proved that eight bytes from `at` lie before the frame's end.
    // One store: a load of both that follows two would wait for them, as none does for what a network card has written.
    unsafe {
        store!("u64", at, u64::from(spi.to_be()) | u64::from(seq.wrapping_add(1).to_be()) << 32);
    }
    Some(())
}

/// A permutation of the numbers of so many bits, in no order that a cache could guess: odd factors and shifts can be
/// undone.
#[inline(always)] // five instructions
const fn shuffled(number: u32, bits: u32) -> u32 {
    let mask = (1_u32 << bits).wrapping_sub(1);
    let mut mixed = number.wrapping_mul(0x9e37_79b1) & mask;
    mixed ^= mixed >> ((bits >> 1) + 1);
    mixed = mixed.wrapping_mul(0x85eb_ca6b) & mask;
    mixed ^ (mixed >> ((bits >> 1) + 1))
}
