//! TC ingress and egress. "Pass" is `TC_ACT_UNSPEC`, so that filters of others behind ours still run.

use crate::glue::{frame::Frame, maps::Maps, place::place};
use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::classifier,
    programs::TcContext,
};
use esp_common::Action;

/// Judges decrypted packets and clear text.
#[classifier]
#[inline(always)] // the macro wraps it: one frame of the stack
pub(crate) fn esp_tc_in(ctx: TcContext) -> i32 {
    let Some(place) = place() else {
        return TC_ACT_UNSPEC;
    };
    verdict(esp_datapath::tc_ingress(&Frame::of_skb(&ctx), &Maps::of_this_cpu(), &place))
}

/// Counts ESP that leaves, judges clear text.
#[classifier]
#[inline(always)] // the macro wraps it: one frame of the stack
pub(crate) fn esp_tc_out(ctx: TcContext) -> i32 {
    let Some(place) = place() else {
        return TC_ACT_UNSPEC;
    };
    verdict(esp_datapath::tc_egress(&Frame::of_skb(&ctx), &Maps::of_this_cpu(), &place))
}

fn verdict(action: Action) -> i32 {
    match action {
        Action::Pass | Action::Redirect => TC_ACT_UNSPEC,
        Action::Drop => TC_ACT_SHOT,
    }
}
