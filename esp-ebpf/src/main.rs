//! The eBPF object: programs for XDP, TC ingress and TC egress around the pure datapath.
//!
//! Built by `cargo xtask build-ebpf` for `bpfel-unknown-none` alone; host builds leave this bin out.
#![no_std]
#![no_main]
// One move, see glue/frame.rs: stable Rust has inline assembly for other targets only.
#![feature(asm_experimental_arch)]

mod glue;
mod programs;

/// The kernel asks for a GPL-compatible licence before it lends some helpers; the sources are MIT OR Apache-2.0.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that no path gets here: the datapath has no indexing, no unwrap, no arithmetic that panics.
    loop {}
}
