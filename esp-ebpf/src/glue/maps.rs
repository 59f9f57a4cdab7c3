//! The maps, and [`Tables`] over them. Names and sizes are those of [`esp_common::names`].

use super::search;
use aya_ebpf::{
    bindings::{BPF_F_NO_PREALLOC, BPF_NOEXIST},
    btf_maps::{Array, HashMap, LruPerCpuHashMap, PerCpuArray, PerCpuHashMap},
    macros::btf_map,
};
use esp_common::{
    Action, Addr, Counter, Direction, FlowCounter, FlowKey, GuardKey, Hook, IfaceSlot, InnerKey, Reason,
    Rule, RuleRange, RuleTable, SaEntry, SeenKey, Selector, Settings, StatName, TUNNEL_DIRECTIONS,
    TunnelName,
    counter::{REASON_COUNTERS_PER_IFACE, reason_index},
    names,
};
use esp_datapath::Tables;

/// Entries come and go at run time; room for all of them on every CPU would be paid for nothing.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
static SAS: HashMap<FlowKey, SaEntry, { names::SAS as usize }, ON_DEMAND> = HashMap::new();
#[btf_map]
static LOCALS: HashMap<Addr, u32, { names::LOCALS as usize }, ON_DEMAND> = HashMap::new();
#[btf_map]
static FLOWS: PerCpuHashMap<SeenKey, FlowCounter, { names::FLOWS as usize }, ON_DEMAND> =
    PerCpuHashMap::new();
#[btf_map]
static GHOSTS: LruPerCpuHashMap<SeenKey, FlowCounter, { names::GHOSTS as usize }> = LruPerCpuHashMap::new();
#[btf_map]
static REASONS: PerCpuArray<Counter, { (names::IFACES * REASON_COUNTERS_PER_IFACE) as usize }> =
    PerCpuArray::new();
#[btf_map]
static GUARD_HITS: PerCpuHashMap<GuardKey, Counter, { names::GUARD_HITS as usize }, ON_DEMAND> =
    PerCpuHashMap::new();
#[btf_map]
pub(super) static RULES_IN: Array<Rule, { (2 * names::RULES) as usize }> = Array::new();
#[btf_map]
pub(super) static RULES_OUT: Array<Rule, { (2 * names::RULES) as usize }> = Array::new();
#[btf_map]
static INNER: HashMap<InnerKey, RuleRange, { names::SAS as usize }, ON_DEMAND> = HashMap::new();
#[btf_map]
pub(super) static INNER_RULES: Array<Rule, { names::INNER_RULES as usize }> = Array::new();
#[btf_map]
static TUNNELS: PerCpuArray<Counter, { (names::TUNNELS * TUNNEL_DIRECTIONS) as usize }> = PerCpuArray::new();
#[btf_map]
static TUNNEL_NAMES: Array<TunnelName, { names::TUNNELS as usize }> = Array::new();
#[btf_map]
static IFACES: Array<IfaceSlot, { names::IFACES as usize }> = Array::new();
#[btf_map]
static XFRM_STAT: HashMap<StatName, u64, { names::XFRM_STATS as usize }, ON_DEMAND> = HashMap::new();
#[btf_map]
static LOST: PerCpuArray<u64, { names::LOST as usize }> = PerCpuArray::new();

/// Keeps the maps in the object that only the agent fills and reads.
#[used]
static AGENT_MAPS: (
    &Array<TunnelName, { names::TUNNELS as usize }>,
    &Array<IfaceSlot, { names::IFACES as usize }>,
    &HashMap<StatName, u64, { names::XFRM_STATS as usize }, ON_DEMAND>,
) = (&TUNNEL_NAMES, &IFACES, &XFRM_STAT);

/// The settings in force; without them all guards are off.
#[inline(always)] // an inlined array lookup
pub(crate) fn settings() -> Settings {
    SETTINGS.get(0).copied().unwrap_or_default()
}

/// [`Tables`] over the maps of this object.
pub(crate) struct Maps;

impl Tables for Maps {
    #[inline(always)] // one helper call
    fn sa(&self, key: &FlowKey) -> Option<SaEntry> {
        // SAFETY: the value is copied at once; the agent replaces it in one eight-byte write.
        unsafe { SAS.get(key) }.copied()
    }

    #[inline(always)] // one helper call
    fn is_local(&self, addr: &Addr) -> bool {
        LOCALS.get_ptr(addr).is_some()
    }

    #[inline(always)] // one helper call
    fn inner(&self, key: &InnerKey) -> Option<RuleRange> {
        // SAFETY: the value is copied at once; the agent replaces it in one eight-byte write.
        unsafe { INNER.get(key) }.copied()
    }

    #[inline(always)] // only a call
    fn first_rule(
        &self,
        table: RuleTable,
        range: RuleRange,
        packet: &Selector,
        dir: u8,
    ) -> Option<(u8, u32)> {
        search::first(table, range, packet, dir)
    }

    #[inline(always)] // an inlined array lookup
    fn inner_policy(&self, index: u32) -> u32 {
        INNER_RULES.get(index).map_or(0, |rule| rule.policy)
    }

    #[inline(always)] // only a call
    fn count_flow(&self, key: &SeenKey, known: bool, src: &Addr, len: u32, now_ns: u64) -> u64 {
        count_flow(key, known, src, len, now_ns)
    }

    #[inline(always)] // one lookup
    fn count_tunnel(&self, tunnel: u32, direction: Direction, len: u32) {
        let index = tunnel.wrapping_mul(TUNNEL_DIRECTIONS).wrapping_add(u32::from(direction.as_raw()));
        if let Some(counter) = TUNNELS.get_ptr_mut(index) {
            add(counter, len);
        }
    }

    #[inline(always)] // only a call
    fn count_guard(&self, key: &GuardKey, len: u32) {
        count_guard(key, len);
    }

    #[inline(always)] // one lookup
    fn count_reason(&self, hook: Hook, reason: Reason, action: Action, len: u32) {
        let slot = super::place::iface();
        if let Some(counter) = REASONS.get_ptr_mut(reason_index(slot, hook, reason, action)) {
            add(counter, len);
        }
    }
}

#[inline(never)] // its new entry would take 48 of the caller's 512 bytes of stack
fn count_flow(key: &SeenKey, known: bool, src: &Addr, len: u32, now_ns: u64) -> u64 {
    let find = || if known { FLOWS.get_ptr_mut(key) } else { GHOSTS.get_ptr_mut(key) };
    if let Some(counter) = find() {
        return add_flow(counter, src, len, now_ns);
    }
    let first =
        FlowCounter { packets: 1, bytes: u64::from(len), first_ns: now_ns, last_ns: now_ns, src: *src };
    let flags = u64::from(BPF_NOEXIST);
    let put = if known { FLOWS.insert(key, first, flags) } else { GHOSTS.insert(key, first, flags) };
    if put.is_ok() {
        #[cfg(feature = "log")]
        aya_log_ebpf::info!((), "new flow: spi {:x}, known {}", key.spi.number(), u32::from(known));
        return now_ns;
    }
    // Another CPU was first with the entry, or there is no room.
    let Some(counter) = find() else {
        lost(if known { names::LOST_FLOWS } else { names::LOST_GHOSTS });
        return now_ns;
    };
    add_flow(counter, src, len, now_ns)
}

#[inline(never)] // as above
fn count_guard(key: &GuardKey, len: u32) {
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

#[inline(always)] // two additions
fn add(counter: *mut Counter, len: u32) {
    // SAFETY: a non-null pointer into this CPU's own copy of the value; XDP and TC run with migration disabled.
    unsafe {
        (*counter).packets = (*counter).packets.wrapping_add(1);
        (*counter).bytes = (*counter).bytes.wrapping_add(u64::from(len));
    }
}

#[inline(always)] // as above
fn add_flow(counter: *mut FlowCounter, src: &Addr, len: u32, now_ns: u64) -> u64 {
    // SAFETY: as in `add`.
    unsafe {
        if (*counter).packets == 0 {
            (*counter).first_ns = now_ns;
            (*counter).src = *src;
        }
        (*counter).packets = (*counter).packets.wrapping_add(1);
        (*counter).bytes = (*counter).bytes.wrapping_add(u64::from(len));
        (*counter).last_ns = now_ns;
        (*counter).first_ns
    }
}

fn lost(index: u32) {
    if let Some(counter) = LOST.get_ptr_mut(index) {
        // SAFETY: as in `add`.
        unsafe { *counter = (*counter).wrapping_add(1) };
    }
}
