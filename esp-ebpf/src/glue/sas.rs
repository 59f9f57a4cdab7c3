//! The SAs: from a key to its line on this CPU.

use super::counters::lost;
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap},
    macros::btf_map,
};
use core::arch::asm;
use esp_common::{
    Addr, FlowKey, SaLine, SeenKey, Shape, names,
    sequence::WORDS,
    table::{Bucket, claim, entry_of, slot_of},
};
use esp_datapath::sequence::{Sequence, Words};

/// The agent writes them in place.
const IN_PLACE: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static SA_INDEX: Array<Bucket, { Shape::elements(names::SAS) as usize }, IN_PLACE> = Array::new();
/// The loader multiplies the size by the number of CPUs.
#[btf_map]
static SA_LINES: Array<SaLine, { Shape::slots_for(names::SAS) as usize }, IN_PLACE> = Array::new();
/// What the sequence numbers of each slot tell, on all CPUs together.
#[btf_map]
static SEQUENCES: Array<[u64; WORDS], { Shape::slots_for(names::SAS) as usize }, IN_PLACE> = Array::new();
#[btf_map]
static SAS: HashMap<FlowKey, u32, { names::SAS as usize }, { BPF_F_NO_PREALLOC as usize }> = HashMap::new();

/// A found SA: its line on this CPU.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    line: *mut SaLine,
    slot: u32,
}

/// The line of a key's SA.
#[inline(always)] // the verifier follows the pointer
pub(super) fn find(cpu: u32, key: &FlowKey) -> Option<Found> {
    if key.spi.is_zero() {
        return None;
    }
    // SAFETY: `Shape` has the size of a bucket; the agent writes it before any program is attached.
    let shape = unsafe { &*SA_INDEX.get_ptr(0)?.cast::<Shape>() };
    let lines = cpu.wrapping_mul(shape.slots);
    let bucket = SA_INDEX.get_ptr(shape.bucket(key))?;
    // SAFETY: a pointer into the map; volatile, because the agent changes entries, each in one store: half of an old one and
    // half of a new one would be neither.
    let entries = unsafe { &(*bucket).entries };
    for entry in entries {
        // SAFETY: as above.
        if let Some(slot) = slot_of(unsafe { core::ptr::read_volatile(entry) }, key)
            && let Some(found) = confirmed(lines, slot, key)
        {
            return Some(found);
        }
    }
    // SAFETY: as above.
    if unsafe { (*bucket).flags } & Bucket::OVERFLOW == 0 {
        return None;
    }
    // The address of this copy escapes; the key itself stays in registers.
    let stashed = *key;
    // SAFETY: the value is copied at once, and never replaced.
    confirmed(lines, unsafe { SAS.get(&stashed) }.copied()?, key)
}

#[inline(always)] // as above
fn confirmed(lines: u32, slot: u32, key: &FlowKey) -> Option<Found> {
    let line = SA_LINES.get_ptr_mut(lines.wrapping_add(slot))?;
    // SAFETY: a pointer into the map. The key of a line changes only when no packet can know its slot any more.
    unsafe { &*line }.is_of(key).then_some(Found { line, slot })
}

/// The SA's tunnel.
#[inline(always)] // one load
pub(super) fn tunnel(Found { line, .. }: Found) -> u32 {
    // SAFETY: a pointer that `find` gave out.
    entry_of(unsafe { (*line).meta }).tunnel
}

/// Counts a packet in the line. False where it is of another flow than the line's.
#[inline(always)] // as above
pub(super) fn count(Found { line, .. }: Found, key: &SeenKey, src: &Addr, len: u32, now_ns: u64) -> bool {
    let (ours, now) = (claim(key.iface, key.direction), (now_ns >> SaLine::TIME_SHIFT) as u32);
    // SAFETY: a pointer that `find` gave out, into the lines of this CPU, which nobody else counts in: XDP and TC run with
    // migration disabled and one after the other.
    unsafe {
        if (*line).claim != ours {
            if (*line).claim != 0 {
                return false;
            }
            (*line).src = *src;
            (*line).first = now;
            (*line).claim = ours;
        }
        (*line).packets = (*line).packets.wrapping_add(1);
        (*line).bytes = (*line).bytes.wrapping_add(u64::from(len));
        (*line).last = now;
    }
    true
}

/// Takes note of a sequence number, for the flow that the line counts.
#[inline(always)] // as above
pub(super) fn see(found: Found, key: &SeenKey, seq: u32) {
    // SAFETY: a pointer that `find` gave out.
    if unsafe { (*found.line).claim } != claim(key.iface, key.direction) {
        return;
    }
    if !noted(found.slot, seq) {
        lost(names::LOST_SEQUENCES);
    }
}

#[inline(never)] // the verifier looks at it once for each way that leads here, and not at what follows
fn noted(slot: u32, seq: u32) -> bool {
    let Some(words) = SEQUENCES.get_ptr(slot) else {
        return false;
    };
    Sequence(Shared(words)).see(seq)
}

/// The words of a slot in the map. Rust has no compare-and-swap for this target, its instruction set has (Linux 5.12).
#[derive(Clone, Copy)]
struct Shared(*const [u64; WORDS]);

impl Shared {
    #[inline(always)] // the verifier follows the pointer
    fn word(self, at: usize) -> *mut u64 {
        // SAFETY: the remainder lies in the value; all who write it while packets pass do so by atomic instructions.
        unsafe { self.0.cast::<u64>().cast_mut().add(at % WORDS) }
    }
}

impl Words for Shared {
    #[inline(always)] // one load
    fn load(self, at: usize) -> u64 {
        // SAFETY: see `word`.
        unsafe { self.word(at).read_volatile() }
    }

    #[inline(always)] // one store
    fn store(self, at: usize, value: u64) {
        // SAFETY: see `word`.
        unsafe { self.word(at).write_volatile(value) }
    }

    #[inline(always)] // one instruction
    fn add(self, at: usize, more: u64) {
        // SAFETY: see `word`.
        unsafe {
            asm!("lock *(u64 *)({word} + 0) += {more}", word = in(reg) self.word(at), more = in(reg) more)
        }
    }

    #[inline(always)] // one instruction
    fn swap(self, at: usize, old: u64, fresh: u64) -> bool {
        let seen: u64;
        // SAFETY: see `word`.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {fresh})",
                word = in(reg) self.word(at), fresh = in(reg) fresh, inlateout("r0") old => seen,
            );
        }
        seen == old
    }
}
