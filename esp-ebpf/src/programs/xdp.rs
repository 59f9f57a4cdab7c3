//! XDP ingress.

use crate::glue::{frame::Frame, maps::Maps, place::place};
use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use esp_common::Action;

/// Judges the outer packet.
#[xdp]
pub(crate) fn esp_xdp(ctx: XdpContext) -> u32 {
    let Some(place) = place() else {
        return xdp_action::XDP_PASS;
    };
    match esp_datapath::xdp(&Frame::of_xdp(&ctx), &Maps::of_this_cpu(), &place) {
        Action::Pass | Action::Redirect => xdp_action::XDP_PASS,
        Action::Drop => xdp_action::XDP_DROP,
    }
}

/// Does nothing: the baseline that the benchmarks subtract.
#[xdp]
pub(crate) fn esp_empty(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}
