//! On the CPU that a packet was handed to; and where it is told that it could not be.

use crate::glue::steer;
use aya_ebpf::{
    bindings::xdp_action,
    macros::{raw_tracepoint, xdp},
    programs::{RawTracePointContext, XdpContext},
};

/// Counts what arrives. The packet has its reason already.
#[xdp(map = "cpumap")]
pub(crate) fn esp_cpu(_: XdpContext) -> u32 {
    steer::arrived(false);
    xdp_action::XDP_PASS
}

/// As [`esp_cpu`], of frames in several buffers.
#[xdp(frags, map = "cpumap")]
pub(crate) fn esp_cpu_frags(_: XdpContext) -> u32 {
    steer::arrived(true);
    xdp_action::XDP_PASS
}

/// What queues were given, and what they refused: (map, packets, refused, CPU), include/trace/events/xdp.h.
#[raw_tracepoint(tracepoint = "xdp_cpumap_enqueue")]
pub(crate) fn esp_full(ctx: RawTracePointContext) -> i32 {
    steer::refused(ctx.arg(0), ctx.arg(3), ctx.arg(2));
    0
}

/// `ENOSPC`: under generic XDP a full queue is told here too.
const FULL: i32 = -28;

/// A packet came to no queue: (device, program, target, error, kind of map, map, index).
#[raw_tracepoint(tracepoint = "xdp_redirect_err")]
pub(crate) fn esp_refused(ctx: RawTracePointContext) -> i32 {
    if ctx.arg::<i32>(3) != FULL {
        steer::refused(ctx.arg(5), ctx.arg(6), 1);
    }
    0
}
