//! The bench's driver: gives each packet another SPI, then goes on in the program under test.
//!
//! An object of its own, so that nothing of it is in the datapath's.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::ProgramArray,
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use core::ptr::read_volatile;

/// Where the SPI is in the frame.
#[unsafe(no_mangle)]
static SPI_OFFSET: u32 = 0;
/// 32 less the binary logarithm of how many SPIs there are.
#[unsafe(no_mangle)]
static SPI_SHIFT: u32 = 0;
/// The first SPI.
#[unsafe(no_mangle)]
static SPI_BASE: u32 = 0;

/// A linear congruential generator (Numerical Recipes): its upper bits visit all SPIs in no order that a cache could guess.
static mut STATE: u32 = 12_345;

#[btf_map]
static JUMP: ProgramArray<1> = ProgramArray::new();

/// Longest offset, 1 less a power of two for the verifier.
const MAX_OFFSET: usize = 0x7f;

/// Writes the SPI and jumps. `XDP_ABORTED` when the frame has none or the jump failed.
#[xdp]
pub(crate) fn esp_vary(ctx: XdpContext) -> u32 {
    // SAFETY: statics of this object; BPF_PROG_TEST_RUN runs one program at a time here.
    let (offset, shift, base, state) = unsafe {
        let next = (&raw const STATE).read_volatile().wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (&raw mut STATE).write_volatile(next);
        (read_volatile(&SPI_OFFSET), read_volatile(&SPI_SHIFT), read_volatile(&SPI_BASE), next)
    };
    let at = ctx.data() + (offset as usize & MAX_OFFSET);
    if at + size_of::<u32>() > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    let spi = base.wrapping_add((u64::from(state) >> (shift & 63)) as u32);
    // SAFETY: the line above proved that four bytes from `at` lie before the frame's end.
    unsafe { (at as *mut [u8; 4]).write(spi.to_be_bytes()) };
    // SAFETY: nothing is left to be dropped.
    unsafe { JUMP.tail_call(&ctx, 0) };
    xdp_action::XDP_ABORTED
}

/// The tail call is a helper for programs under a GPL-compatible licence.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
