//! Budgets: each is a word that all CPUs share.

use super::{
    sas::{self, Found},
    shared::Shared,
};
use aya_ebpf::{
    bindings::BPF_NOEXIST,
    btf_maps::{Array, LruHashMap},
    macros::btf_map,
};
use esp_common::{Addr, names};
use esp_datapath::{Purse, budget};

/// By outer source. One that is pushed out by others has its burst again.
#[btf_map]
static PEER_BUDGETS: LruHashMap<Addr, u64, { names::PEERS as usize }> = LruHashMap::new();
#[btf_map]
static UNKNOWN_BUDGET: Array<u64, 1> = Array::new();

/// A budget that cannot be found is none: the packet passes.
#[inline(always)] // a match on what is known at each call
pub(super) fn spend(purse: Purse<'_, Found>, interval_ns: u32, burst_ns: u32, now_ns: u64) -> bool {
    let left = match purse {
        Purse::Sa(sa) => esp_spend_sa(sa.slot(), interval_ns, burst_ns, now_ns),
        Purse::Unknown => esp_spend_unknown(interval_ns, burst_ns, now_ns),
        Purse::Peer(src) => {
            let [a, b] = src.words();
            esp_spend_peer(a, b, interval_ns, burst_ns, now_ns)
        }
    };
    left != 0
}

// Functions of their own for the verifier, as `esp_note` is.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn esp_spend_sa(slot: u32, interval_ns: u32, burst_ns: u32, now_ns: u64) -> u32 {
    of(sas::budget(slot), interval_ns, burst_ns, now_ns)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn esp_spend_unknown(interval_ns: u32, burst_ns: u32, now_ns: u64) -> u32 {
    of(word(UNKNOWN_BUDGET.get_ptr(0)), interval_ns, burst_ns, now_ns)
}

/// The peer's address in two words.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn esp_spend_peer(a: u64, b: u64, interval_ns: u32, burst_ns: u32, now_ns: u64) -> u32 {
    let src = Addr::from_words([a, b]);
    let found = PEER_BUDGETS.get_ptr(src);
    let there = if found.is_some() {
        found
    } else {
        // Another CPU may be first with it.
        _ = PEER_BUDGETS.insert(src, 0, u64::from(BPF_NOEXIST));
        PEER_BUDGETS.get_ptr(src)
    };
    of(word(there), interval_ns, burst_ns, now_ns)
}

/// A word that a lookup has found.
#[inline(always)] // as below
pub(super) fn word(found: Option<*const u64>) -> Option<Shared<1>> {
    // SAFETY: the callers' pointers are into maps.
    found.map(|word| unsafe { Shared::new(word) })
}

#[inline(always)] // the verifier follows the pointer
pub(super) fn of(word: Option<Shared<1>>, interval_ns: u32, burst_ns: u32, now_ns: u64) -> u32 {
    u32::from(word.is_none_or(|word| budget::spend(word, 0, interval_ns, burst_ns, now_ns)))
}
