//! Packets to the CPUs of their SAs (`BPF_MAP_TYPE_CPUMAP`), and what became of them.

use super::shared::Shared;
use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, CpuMap, PerCpuArray},
    macros::btf_map,
};
use core::ptr::read_volatile;
use esp_common::{
    Shape,
    lane::{Lane, QUEUES, queue},
    names,
};
use esp_datapath::Words as _;

const CPUS_OF_MAPS: usize = names::CPUS as usize;
const QUEUES_OF_MAPS: usize = (QUEUES * names::CPUS) as usize;

/// The agent writes them in place.
#[btf_map]
static LANES: Array<u64, { Shape::slots_for(names::SAS) as usize }, { BPF_F_MMAPABLE as usize }> =
    Array::new();
#[btf_map]
static CPUS: CpuMap<CPUS_OF_MAPS> = CpuMap::new();
#[btf_map]
static CPUS_FRAGS: CpuMap<CPUS_OF_MAPS> = CpuMap::new();
#[btf_map]
static HANDED: PerCpuArray<u64, QUEUES_OF_MAPS> = PerCpuArray::new();
#[btf_map]
static REFUSED: PerCpuArray<u64, QUEUES_OF_MAPS> = PerCpuArray::new();
#[btf_map]
static ARRIVED: PerCpuArray<u64, { QUEUES as usize }> = PerCpuArray::new();

/// [`names::GLOBAL_CPUS_ID`].
#[unsafe(no_mangle)]
static CPUS_ID: u32 = 0;
/// [`names::GLOBAL_CPUS_FRAGS_ID`].
#[unsafe(no_mangle)]
static CPUS_FRAGS_ID: u32 = 0;

/// Hands the packet of this call to the CPU of the SA in a slot; 0 where it has none. A function of its own for the verifier,
/// which looks at it once, with numbers alone. The redirect takes effect by what the program returns.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn esp_hand(slot: u32) -> u32 {
    u32::from(hand(slot, &CPUS, false))
}

/// The same for frames of several buffers: their map is another.
#[unsafe(no_mangle)]
#[inline(never)]
pub(super) extern "C" fn esp_hand_frags(slot: u32) -> u32 {
    u32::from(hand(slot, &CPUS_FRAGS, true))
}

#[inline(always)] // the map must be a constant of the call
fn hand(slot: u32, cpus: &CpuMap<CPUS_OF_MAPS>, frags: bool) -> bool {
    let Some(cpu) = cpu(slot) else {
        return false;
    };
    if cpus.redirect(cpu, 0).is_err() {
        return false;
    }
    add(&HANDED, queue(cpu, frags), 1);
    true
}

/// The CPU of a slot. The agent moves an SA only if it finds its watch undisturbed.
#[inline(always)] // one lookup and one load
fn cpu(slot: u32) -> Option<u32> {
    // SAFETY: a pointer into the map; all who write it while packets pass do so by atomic instructions.
    let word = unsafe { Shared::<1>::new(LANES.get_ptr(slot)?) };
    let lane = Lane::from_raw(word.load(0));
    if lane == lane.seen() || word.swap(0, lane.as_raw(), lane.seen().as_raw()) {
        return lane.cpu();
    }
    // Another CPU was first, or the SA has moved. It cannot be watched anew meanwhile: the agent waits for a grace period.
    Lane::from_raw(word.load(0)).cpu()
}

/// Counts a packet on the CPU that it was handed to.
#[inline(always)] // one lookup
pub(crate) fn arrived(frags: bool) {
    add(&ARRIVED, u32::from(frags), 1);
}

/// Counts packets that a queue of ours did not take.
#[inline(always)] // two compares and a lookup
pub(crate) fn refused(map_id: u32, cpu: u32, packets: u32) {
    // SAFETY: references to statics of this object; volatile because the loader writes them before it is loaded.
    let [plain, frags] =
        unsafe { [read_volatile(&raw const CPUS_ID), read_volatile(&raw const CPUS_FRAGS_ID)] };
    if packets != 0 && (map_id == plain || map_id == frags) {
        add(&REFUSED, queue(cpu, map_id == frags), packets.into());
    }
}

#[inline(always)] // the map must be a constant of the call
fn add<const N: usize>(counters: &PerCpuArray<u64, N>, index: u32, more: u64) {
    if let Some(counter) = counters.get_ptr_mut(index) {
        // SAFETY: this CPU's own copy of the value. XDP runs with migration disabled; a tracepoint may interrupt another one,
        // of another queue.
        unsafe { *counter = (*counter).wrapping_add(more) };
    }
}
