//! The walk over rules, by `bpf_loop` (Linux 5.17): the verifier looks at one step, however many there are.

use super::maps::{INNER_RULES, RULES_IN, RULES_OUT};
use aya_ebpf::{cty::c_void, helpers::generated::bpf_loop};
use esp_common::{Rule, RuleRange, RuleTable, Selector};

/// What a step needs and leaves behind.
#[repr(C)]
struct Search {
    packet: *const Selector,
    first: u32,
    dir: u8,
    found: u8,
    verdict: u8,
    pad: u8,
    policy: u32,
}

const GO_ON: i64 = 0;
const STOP: i64 = 1;

/// Verdict and policy of the first rule that matches.
#[inline(always)] // the callback must be a constant of the call for the kernel to inline the loop
pub(super) fn first(table: RuleTable, range: RuleRange, packet: &Selector, dir: u8) -> Option<(u8, u32)> {
    let mut search = Search { packet, first: range.first, dir, found: 0, verdict: 0, pad: 0, policy: 0 };
    let step = match table {
        RuleTable::In => step_in as *mut c_void,
        RuleTable::Out => step_out as *mut c_void,
        RuleTable::Inner => step_inner as *mut c_void,
    };
    // SAFETY: `step` is a function of (index, context), the context is `search`, which outlives the call.
    unsafe { bpf_loop(range.count, step, (&raw mut search).cast(), 0) };
    (search.found != 0).then_some((search.verdict, search.policy))
}

extern "C" fn step_in(index: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` hands on the context of `first`.
    let search = unsafe { &mut *search };
    step(search, RULES_IN.get(search.first.wrapping_add(index)))
}

extern "C" fn step_out(index: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` hands on the context of `first`.
    let search = unsafe { &mut *search };
    step(search, RULES_OUT.get(search.first.wrapping_add(index)))
}

extern "C" fn step_inner(index: u32, search: *mut Search) -> i64 {
    // SAFETY: `bpf_loop` hands on the context of `first`.
    let search = unsafe { &mut *search };
    step(search, INNER_RULES.get(search.first.wrapping_add(index)))
}

#[inline(always)] // the body of three callbacks
fn step(search: &mut Search, rule: Option<&Rule>) -> i64 {
    let Some(rule) = rule else {
        return STOP;
    };
    // SAFETY: `first` borrows the packet's fields for as long as the walk lasts.
    if !rule.matches(unsafe { &*search.packet }, search.dir) {
        return GO_ON;
    }
    search.found = 1;
    search.verdict = rule.verdict;
    search.policy = rule.policy;
    STOP
}
