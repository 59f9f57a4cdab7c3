//! Flows that no SA has: a table of fixed size on each CPU, in which a flood of SPIs pushes out only others of its kind.

use super::counters::{log_flow, lost};
use aya_ebpf::{bindings::BPF_F_MMAPABLE, btf_maps::Array, macros::btf_map};
use esp_common::{
    Addr, FlowKey, SaLine, SeenKey, Shape, names,
    table::{WAYS, claim, ghost_slots},
};

/// The loader multiplies the lines by the number of CPUs.
#[btf_map]
static GHOSTS: Array<SaLine, { 1 + ghost_slots(names::GHOSTS) as usize }, { BPF_F_MMAPABLE as usize }> =
    Array::new();

/// Counts a packet in its line, or in the one of its hash that was not seen for the longest time. Hands back a moment at or
/// after which this CPU saw the flow first.
#[inline(never)] // its lines would be looked at once more for each way that leads here
pub(super) fn count(cpu: u32, key: &SeenKey, src: &Addr, len: u32, now_ns: u64) -> u64 {
    let Some(shape) = GHOSTS.get_ptr(0) else {
        lost(names::LOST_GHOSTS);
        return now_ns;
    };
    // SAFETY: `Shape` has the size of a line; the agent writes it before any program is attached.
    let shape = unsafe { &*shape.cast::<Shape>() };
    let flow = FlowKey::new(key.dst, key.spi);
    let first = shape.ghost(cpu, &flow);
    let (ours, now) = (claim(key.iface, key.direction), (now_ns >> SaLine::TIME_SHIFT) as u32);
    let (mut oldest, mut victim) = (u32::MAX, first);
    for way in 0..WAYS {
        let Some(line) = GHOSTS.get_ptr_mut(first.wrapping_add(way)) else {
            lost(names::LOST_GHOSTS);
            return now_ns;
        };
        // SAFETY: a pointer into the lines of this CPU, which nobody else writes: XDP and TC run with migration disabled and
        // one after the other.
        let line = unsafe { &mut *line };
        if line.claim == ours && line.is_of(&flow) {
            line.packets = line.packets.wrapping_add(1);
            line.bytes = line.bytes.wrapping_add(u64::from(len));
            line.last = now;
            return u64::from(line.first.wrapping_add(1)) << SaLine::TIME_SHIFT;
        }
        if line.last < oldest {
            (oldest, victim) = (line.last, first.wrapping_add(way));
        }
    }
    let Some(line) = GHOSTS.get_ptr_mut(victim) else {
        lost(names::LOST_GHOSTS);
        return now_ns;
    };
    // Field by field: a whole line would take 64 bytes of the stack.
    // SAFETY: as above.
    let line = unsafe { &mut *line };
    (line.dst, line.src) = (key.dst, *src);
    (line.packets, line.bytes) = (1, u64::from(len));
    (line.first, line.last) = (now, now);
    line.spi = u32::from_ne_bytes(key.spi.wire());
    (line.meta, line.claim) = (0, ours);
    log_flow(key, false);
    now_ns
}
