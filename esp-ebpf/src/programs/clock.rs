//! What time jiffies have: the agent asks by `BPF_PROG_TEST_RUN`, nothing is attached.

use aya_ebpf::{
    bindings::TC_ACT_UNSPEC,
    helpers::generated::{bpf_jiffies64, bpf_ktime_get_ns},
    macros::classifier,
    programs::TcContext,
};
use esp_common::names;

/// Leaves jiffies and ns of CLOCK_MONOTONIC in the frame that it is run over.
#[classifier]
pub(crate) fn esp_clock(ctx: TcContext) -> i32 {
    // SAFETY: the helpers take no argument.
    let now = unsafe { [bpf_jiffies64(), bpf_ktime_get_ns()] };
    match ctx.store(names::CLOCK_OFFSET, &now, 0) {
        Ok(()) => TC_ACT_UNSPEC,
        Err(_) => aya_ebpf::bindings::TC_ACT_SHOT,
    }
}
