//! The walk over the selectors of an SA, by `bpf_loop` (Linux 5.17): the verifier looks at one step, however many there are.

use super::maps::INNER_RULES;
use aya_ebpf::{cty::c_void, helpers::generated::bpf_loop};
use esp_common::{RuleRange, Selector};

/// What a step needs and leaves behind.
#[repr(C)]
struct Search {
    packet: *const Selector,
    first: u32,
    found: u32,
}

const GO_ON: i64 = 0;
const STOP: i64 = 1;

/// Any direction: an SA's rules are all for it.
const ANY_DIR: u8 = 0;

/// Whether one of them selects the packet.
#[inline(always)] // the callback must be a constant of the call for the kernel to inline the loop
pub(super) fn selects(range: RuleRange, packet: &Selector) -> bool {
    let mut search = Search { packet, first: range.first, found: 0 };
    // SAFETY: `step` is a function of (index, context), the context is `search`, which outlives the call.
    unsafe { bpf_loop(range.count, step as *mut c_void, (&raw mut search).cast(), 0) };
    search.found != 0
}

extern "C" fn step(index: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` hands on the context of `selects`.
    let search = unsafe { &mut *search };
    let Some(rule) = INNER_RULES.get(search.first.wrapping_add(index)) else {
        return STOP;
    };
    // SAFETY: `selects` borrows the packet's fields for as long as the walk lasts.
    if !rule.matches(unsafe { &*search.packet }, ANY_DIR) {
        return GO_ON;
    }
    search.found = 1;
    STOP
}
