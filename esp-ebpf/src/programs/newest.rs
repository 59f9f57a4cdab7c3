//! Which SA the kernel got last: the agent asks by `BPF_PROG_TEST_RUN`, nothing is attached.

use crate::glue::newest::newest_sa;
use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use esp_common::NewestSa;

/// Leaves a [`NewestSa`] in the frame that it is run over; aborts where it cannot be read.
#[xdp]
pub(crate) fn esp_newest(ctx: XdpContext) -> u32 {
    let Some(newest) = newest_sa(ctx.ctx) else {
        return xdp_action::XDP_ABORTED;
    };
    if ctx.data() + size_of::<NewestSa>() > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: the line above proved that so many bytes lie before the frame's end. The frame of a run starts behind a headroom
    // of 256 bytes (`XDP_PACKET_HEADROOM`); in smaller pieces the verifier lets no address be written.
    unsafe { (ctx.data() as *mut NewestSa).write(newest) };
    xdp_action::XDP_PASS
}
