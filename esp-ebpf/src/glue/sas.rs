//! The SAs: from a key to its line on this CPU.

use super::{counters::lost, opaque::opaque, shared::Shared};
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap},
    macros::btf_map,
};
use esp_common::{
    Addr, FlowKey, SaLine, SeenKey, Shape, Spi, names,
    sequence::WORDS,
    table::{Bucket, ENTRIES, claim, entry_of, slot_of},
};
use esp_datapath::sequence::{Sequence, next};

/// The agent writes them in place.
const IN_PLACE: usize = BPF_F_MMAPABLE as usize;

#[btf_map]
static SA_INDEX: Array<Bucket, { Shape::elements(names::SAS) as usize }, IN_PLACE> = Array::new();
/// The loader multiplies the size by the number of CPUs.
#[btf_map]
static SA_LINES: Array<SaLine, { Shape::slots_for(names::SAS) as usize }, IN_PLACE> = Array::new();
/// The block of the highest sequence number of each slot, on all CPUs together: a word by itself, so that many share a line.
#[btf_map]
static HEADS: Array<u64, { Shape::slots_for(names::SAS) as usize }, IN_PLACE> = Array::new();
/// What else the sequence numbers tell.
#[btf_map]
static SEQUENCES: Array<[u64; WORDS], { Shape::slots_for(names::SAS) as usize }, IN_PLACE> = Array::new();
/// When the next packet of each slot is due.
#[btf_map]
static SA_BUDGETS: Array<u64, { Shape::slots_for(names::SAS) as usize }> = Array::new();
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
    let index = shape.bucket(key);
    let bucket = SA_INDEX.get_ptr(index)?;
    // SAFETY: a pointer into the map; volatile, because the agent changes entries, each in one store: half of an old one and
    // half of a new one would be neither.
    let (entries, flags) = unsafe {
        ((&raw const (*bucket).entries).read_volatile(), (&raw const (*bucket).flags).read_volatile())
    };
    let entry = candidate(entries, key.spi);
    if entry == 0 && flags & Bucket::OVERFLOW == 0 {
        return None;
    }
    if entry != 0
        && let Some(found) = confirmed(lines, (entry >> 32) as u32, key)
    {
        return Some(found);
    }
    let [a, b] = key.dst.words();
    let slot = esp_find(index, lines, a, b, u32::from_ne_bytes(key.spi.wire()));
    if slot == NOWHERE { None } else { confirmed(lines, slot, key) }
}

/// The entry that may be an SPI's; 0 is none. Two of them with this SPI, of several destinations, come out as none of both: what
/// is found is confirmed by its line, and what is not is looked for one by one.
///
/// No branch for each entry: its place is random, and half of the branches on it were mispredicted.
#[inline(always)] // five instructions for each entry
fn candidate(entries: [u64; ENTRIES], spi: Spi) -> u64 {
    let spi = u64::from(u32::from_ne_bytes(spi.wire()));
    let mut found = 0;
    for entry in entries {
        // LLVM makes a branch of what it knows to be a comparison.
        let differs = opaque(entry & u64::from(u32::MAX) ^ spi);
        found |= entry & (differs.wrapping_sub(1) as i64 >> 63) as u64;
    }
    found
}

/// No slot.
const NOWHERE: u32 = u32::MAX;

/// The slot of a key that shares its SPI and its bucket with another one, or whose bucket is full. A function of its own for
/// the verifier, as `esp_note` is.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn esp_find(index: u32, lines: u32, a: u64, b: u64, spi: u32) -> u32 {
    let key = FlowKey::new(Addr::from_words([a, b]), Spi::from_wire(spi.to_ne_bytes()));
    let Some(bucket) = SA_INDEX.get_ptr(index) else {
        return NOWHERE;
    };
    for at in 0..ENTRIES {
        // SAFETY: a pointer into the map, and an index below its length.
        let entry = unsafe { (&raw const (*bucket).entries).cast::<u64>().add(at).read_volatile() };
        if let Some(slot) = slot_of(entry, &key)
            && confirmed(lines, slot, &key).is_some()
        {
            return slot;
        }
    }
    // SAFETY: the value is copied at once, and never replaced.
    unsafe { SAS.get(key) }.copied().unwrap_or(NOWHERE)
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

/// True when the line counts this flow: its sequence numbers are the SA's.
#[inline(always)] // a compare
pub(super) fn counts(found: Found, key: &SeenKey) -> bool {
    // SAFETY: a pointer that `find` gave out.
    unsafe { (*found.line).claim == claim(key.iface, key.direction) }
}

/// Takes note of a sequence number.
#[inline(always)] // the usual one takes a few instructions
pub(super) fn note(slot: u32, seq: u32) {
    if !head(slot).is_some_and(|head| next(head, seq)) && esp_note(slot, seq) == 0 {
        lost(names::LOST_SEQUENCES);
    }
}

/// Whether any number was taken note of. A function of its own for the verifier, with numbers alone: it looks at that once, and
/// not for each way that leads here ("global functions", Linux 5.6).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn esp_note(slot: u32, seq: u32) -> u32 {
    u32::from(sequence(slot).is_some_and(|sequence| sequence.see(seq)))
}

#[inline(always)] // two lookups
fn sequence(slot: u32) -> Option<Sequence<Shared<1>, Shared<WORDS>>> {
    let rest = SEQUENCES.get_ptr(slot)?;
    // SAFETY: a pointer into the map.
    Some(Sequence(head(slot)?, unsafe { Shared::new(rest.cast()) }))
}

#[inline(always)] // one lookup
fn head(slot: u32) -> Option<Shared<1>> {
    let head = HEADS.get_ptr(slot)?;
    // SAFETY: a pointer into the map.
    Some(unsafe { Shared::new(head) })
}

/// The word of a slot's budget.
#[inline(always)] // one lookup
pub(super) fn budget(slot: u32) -> Option<Shared<1>> {
    let word = SA_BUDGETS.get_ptr(slot)?;
    // SAFETY: a pointer into the map.
    Some(unsafe { Shared::new(word) })
}

impl Found {
    /// Its place in the table.
    #[inline(always)] // a move
    pub(super) const fn slot(self) -> u32 {
        self.slot
    }
}
