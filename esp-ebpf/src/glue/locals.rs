//! Our own addresses.

use super::{
    kept::{KEPT, place},
    maps::settings,
};
use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{HashMap, PerCpuArray},
    macros::btf_map,
};
use esp_common::{Addr, names};

#[btf_map]
static LOCALS: HashMap<Addr, u32, { names::LOCALS as usize }, { BPF_F_NO_PREALLOC as usize }> =
    HashMap::new();

/// What was found in the map: a lookup there is a call. Before Linux 6.10 this is one too.
#[btf_map]
static ANSWERED: PerCpuArray<Answer, { KEPT as usize }> = PerCpuArray::new();

/// An answer, for as long as [`esp_common::Settings::locals`] stays.
#[repr(C)]
struct Answer {
    addr: Addr,
    locals: u32,
    ours: u32,
}

/// True when an address is ours.
#[inline(always)] // seldom a call
pub(super) fn has(addr: &Addr) -> bool {
    let addr = *addr;
    // SAFETY: a pointer into the map. One load, before the map is asked: the agent counts up behind its change.
    let locals = settings().map_or(0, |settings| unsafe { (&raw const settings.locals).read_volatile() });
    let [a, b] = addr.words();
    let Some(answer) = ANSWERED.get_ptr_mut(place(a ^ b)) else {
        return false;
    };
    // SAFETY: a pointer into this CPU's own value; XDP and TC run with migration disabled and one after the other.
    let answer = unsafe { &mut *answer };
    if answer.locals != locals || answer.addr != addr {
        // The address of a copy escapes: the packet's own stays in registers.
        *answer = Answer { addr, locals, ours: u32::from(LOCALS.get_ptr(addr).is_some()) };
    }
    answer.ours != 0
}
