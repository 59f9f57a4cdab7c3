//! XDP ingress.

use crate::glue::{frame::Frame, maps::Maps, place::place};
use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use esp_common::Action;

/// Judges the outer packet.
#[xdp]
#[inline(always)] // the macro wraps it: one frame of the stack
pub(crate) fn esp_xdp(ctx: XdpContext) -> u32 {
    judge(&Frame::of_xdp(&ctx))
}

/// As [`esp_xdp`], for drivers that spread a frame over several buffers: at an MTU above a page most take no other.
#[xdp(frags)]
#[inline(always)] // as above
pub(crate) fn esp_xdp_frags(ctx: XdpContext) -> u32 {
    judge(&Frame::of_xdp_frags(&ctx))
}

#[inline(always)] // packet pointers do not survive a call
fn judge(frame: &Frame) -> u32 {
    let Some(place) = place() else {
        return xdp_action::XDP_PASS;
    };
    match esp_datapath::xdp(frame, &Maps::of_this_cpu(), &place) {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Drop => xdp_action::XDP_DROP,
        Action::Redirect => xdp_action::XDP_REDIRECT,
    }
}

/// Does nothing: the baseline that the benchmarks subtract.
#[xdp]
pub(crate) fn esp_empty(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}
