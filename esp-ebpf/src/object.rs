//! What every object has.

/// The kernel asks for a GPL-compatible licence before it lends some helpers; the sources are MIT OR Apache-2.0.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier proves that no path gets here: the datapath has no indexing, no unwrap, no arithmetic that panics.
    loop {}
}
