//! Dropped packets, told through a ring.

use super::{budgets, counters::lost};
use aya_ebpf::{
    btf_maps::{Array, RingBuf},
    macros::btf_map,
};
use esp_common::{Sample, Sampling, names};

#[btf_map]
static SAMPLES: RingBuf<Sample, { names::SAMPLES as usize }> = RingBuf::new();
#[btf_map]
static SAMPLE_BUDGET: Array<u64, 1> = Array::new();

/// Takes one out of the budget.
#[inline(always)] // only a call
pub(super) fn spend(sampling: &Sampling, now_ns: u64) -> bool {
    let left = esp_spend_sample(sampling.interval_ns, sampling.burst_ns, now_ns) != 0;
    if !left {
        lost(names::LOST_SAMPLES);
    }
    left
}

/// A function of its own for the verifier, as `esp_note` is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn esp_spend_sample(interval_ns: u32, burst_ns: u32, now_ns: u64) -> u32 {
    budgets::of(budgets::word(SAMPLE_BUDGET.get_ptr(0)), interval_ns, burst_ns, now_ns)
}

/// Puts it into the ring. Who reads is not woken: the reader looks when it likes.
#[inline(always)] // the verifier follows the entry
pub(super) fn put(sample: &Sample) {
    const NO_WAKEUP: u64 = aya_ebpf::bindings::BPF_RB_NO_WAKEUP as u64;
    let Some(mut entry) = SAMPLES.reserve(0) else {
        return lost(names::LOST_SAMPLES);
    };
    entry.write(*sample);
    entry.submit(NO_WAKEUP);
}
