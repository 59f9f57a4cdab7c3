//! Counters. Those with a fixed place are flat arrays, one run for each CPU: an inlined lookup on every kernel (lookups in
//! per-CPU arrays are calls before Linux 6.10), and the agent reads them without a system call.

use super::maps::{FLOWS, GUARD_HITS, LOST};
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_NOEXIST},
    btf_maps::Array,
    macros::btf_map,
};
use esp_common::{Addr, Counter, FlowCounter, Guard, GuardKey, Mode, SeenKey, counter::hit_index, names};

/// The agent reads them in place.
const IN_PLACE: usize = BPF_F_MMAPABLE as usize;

// The loader multiplies these sizes by the number of CPUs.
#[btf_map]
static REASONS: Array<Counter, { names::REASONS as usize }, IN_PLACE> = Array::new();
#[btf_map]
static TUNNELS: Array<Counter, { names::TUNNEL_COUNTERS as usize }, IN_PLACE> = Array::new();
#[btf_map]
static HITS: Array<Counter, { names::HITS as usize }, IN_PLACE> = Array::new();

/// Counts a reason by its index.
#[inline(always)] // one lookup
pub(super) fn reason(cpu: u32, index: u32, len: u32) {
    if let Some(counter) = REASONS.get_ptr_mut(place(cpu, names::REASONS, index)) {
        add(counter, len);
    }
}

/// Counts a tunnel by its index.
#[inline(always)] // one lookup
pub(super) fn tunnel(cpu: u32, index: u32, len: u32) {
    if let Some(counter) = TUNNELS.get_ptr_mut(place(cpu, names::TUNNEL_COUNTERS, index)) {
        add(counter, len);
    }
}

#[inline(always)] // one multiplication
fn place(cpu: u32, of_a_cpu: u32, index: u32) -> u32 {
    cpu.wrapping_mul(of_a_cpu).wrapping_add(index)
}

/// Counts a guard's hit.
#[inline(always)] // one lookup, seldom a call
pub(super) fn count_guard(cpu: u32, key: &GuardKey, len: u32) {
    let (0, Some(guard)) = (key.policy, Guard::from_raw(key.guard)) else {
        return count_policy(key, len);
    };
    let index = hit_index(guard, Mode::from_raw(key.mode));
    if let Some(counter) = HITS.get_ptr_mut(place(cpu, names::HITS, index)) {
        add(counter, len);
    }
}

#[inline(never)] // its new entry would take some of the caller's 512 bytes of stack
fn count_policy(key: &GuardKey, len: u32) {
    if let Some(counter) = GUARD_HITS.get_ptr_mut(key) {
        return add(counter, len);
    }
    let first = Counter { packets: 1, bytes: u64::from(len) };
    if GUARD_HITS.insert(key, first, u64::from(BPF_NOEXIST)).is_ok() {
        return;
    }
    match GUARD_HITS.get_ptr_mut(key) {
        Some(counter) => add(counter, len),
        None => lost(names::LOST_GUARD_HITS),
    }
}

#[inline(never)] // its new entry would take 48 of the caller's 512 bytes of stack
pub(super) fn count_flow(key: &SeenKey, src: &Addr, len: u32, now_ns: u64) {
    if let Some(counter) = FLOWS.get_ptr_mut(key) {
        return add_flow(counter, src, len, now_ns);
    }
    let first =
        FlowCounter { packets: 1, bytes: u64::from(len), first_ns: now_ns, last_ns: now_ns, src: *src };
    if FLOWS.insert(key, first, u64::from(BPF_NOEXIST)).is_ok() {
        return log_flow(key, true);
    }
    // Another CPU was first with the entry, or there is no room.
    match FLOWS.get_ptr_mut(key) {
        Some(counter) => add_flow(counter, src, len, now_ns),
        None => lost(names::LOST_FLOWS),
    }
}

/// Tells of a new flow, in a debug object.
#[inline(always)] // nothing is left of it in the usual one
pub(super) fn log_flow(key: &SeenKey, known: bool) {
    #[cfg(feature = "log")]
    aya_log_ebpf::info!((), "new flow: spi {:x}, known {}", key.spi.number(), u32::from(known));
    #[cfg(not(feature = "log"))]
    let _ = (key, known);
}

#[inline(always)] // two additions
fn add(counter: *mut Counter, len: u32) {
    // SAFETY: a non-null pointer into this CPU's own copy of the value; XDP and TC run with migration disabled.
    unsafe {
        (*counter).packets = (*counter).packets.wrapping_add(1);
        (*counter).bytes = (*counter).bytes.wrapping_add(u64::from(len));
    }
}

#[inline(always)] // as above
fn add_flow(counter: *mut FlowCounter, src: &Addr, len: u32, now_ns: u64) {
    // SAFETY: as in `add`.
    unsafe {
        if (*counter).packets == 0 {
            (*counter).first_ns = now_ns;
            (*counter).src = *src;
        }
        (*counter).packets = (*counter).packets.wrapping_add(1);
        (*counter).bytes = (*counter).bytes.wrapping_add(u64::from(len));
        (*counter).last_ns = now_ns;
    }
}

pub(super) fn lost(index: u32) {
    if let Some(counter) = LOST.get_ptr_mut(index) {
        // SAFETY: as in `add`.
        unsafe { *counter = (*counter).wrapping_add(1) };
    }
}
