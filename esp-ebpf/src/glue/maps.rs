//! The maps, and [`Tables`] over them. Names and sizes are those of [`esp_common::names`].

use super::{
    budgets, classifier, counters, ghosts, locals, samples,
    sas::{self, Found},
    search,
};
use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, PerCpuArray, PerCpuHashMap},
    helpers::generated::bpf_get_smp_processor_id,
    macros::btf_map,
};
use esp_common::{
    Action, Addr, Counter, Direction, FlowCounter, FlowKey, GuardKey, Hook, IfaceSlot, InnerKey, Reason,
    Rule, RuleRange, RuleSet, RuleTable, Sample, Sampling, SeenKey, Selector, Settings, StatName,
    TUNNEL_DIRECTIONS, TunnelName, counter::reason_index, names,
};
use esp_datapath::{Purse, Tables};

/// Entries come and go at run time; room for all of them on every CPU would be paid for nothing.
const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

#[btf_map]
static SETTINGS: Array<Settings, 1> = Array::new();
#[btf_map]
pub(super) static FLOWS: PerCpuHashMap<SeenKey, FlowCounter, { names::FLOWS as usize }, ON_DEMAND> =
    PerCpuHashMap::new();
#[btf_map]
pub(super) static GUARD_HITS: PerCpuHashMap<GuardKey, Counter, { names::GUARD_HITS as usize }, ON_DEMAND> =
    PerCpuHashMap::new();
#[btf_map]
static INNER: HashMap<InnerKey, RuleRange, { names::SAS as usize }, ON_DEMAND> = HashMap::new();
#[btf_map]
pub(super) static INNER_RULES: Array<Rule, { names::INNER_RULES as usize }> = Array::new();
#[btf_map]
static TUNNEL_NAMES: Array<TunnelName, { names::TUNNELS as usize }> = Array::new();
#[btf_map]
static IFACES: Array<IfaceSlot, { names::IFACES as usize }> = Array::new();
#[btf_map]
static XFRM_STAT: HashMap<StatName, u64, { names::XFRM_STATS as usize }, ON_DEMAND> = HashMap::new();
#[btf_map]
pub(super) static LOST: PerCpuArray<u64, { names::LOST as usize }> = PerCpuArray::new();

/// Keeps the maps in the object that only the agent fills and reads.
#[used]
static AGENT_MAPS: (
    &Array<TunnelName, { names::TUNNELS as usize }>,
    &Array<IfaceSlot, { names::IFACES as usize }>,
    &HashMap<StatName, u64, { names::XFRM_STATS as usize }, ON_DEMAND>,
) = (&TUNNEL_NAMES, &IFACES, &XFRM_STAT);

/// The settings in force.
#[inline(always)] // an inlined array lookup
pub(crate) fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0)
}

/// The set of rules in force.
#[inline(always)] // one load
fn rule_set(table: RuleTable) -> RuleSet {
    let Some(settings) = settings() else {
        return RuleSet::default();
    };
    let set = match table {
        RuleTable::In => &raw const settings.rules_in,
        RuleTable::Out => &raw const settings.rules_out,
    };
    // SAFETY: a pointer into the map. One load: the agent may switch to another set at any time.
    bytemuck::cast(unsafe { set.cast::<u64>().read_volatile() })
}

/// [`Tables`] over the maps of this object, on one CPU.
pub(crate) struct Maps {
    cpu: u32,
}

impl Maps {
    #[inline(always)] // one helper call
    pub(crate) fn of_this_cpu() -> Self {
        // SAFETY: the helper takes no argument; XDP and TC run with migration disabled.
        Self { cpu: unsafe { bpf_get_smp_processor_id() } }
    }
}

impl Tables for Maps {
    type Sa = Found;

    #[inline(always)] // inlined array lookups
    fn sa(&self, key: &FlowKey) -> Option<Found> {
        sas::find(self.cpu, key)
    }

    #[inline(always)] // a move
    fn slot(&self, sa: Found) -> u32 {
        sa.slot()
    }

    #[inline(always)] // one load
    fn tunnel(&self, sa: Found) -> u32 {
        sas::tunnel(sa)
    }

    #[inline(always)] // as there
    fn is_local(&self, addr: &Addr) -> bool {
        locals::has(addr)
    }

    #[inline(always)] // one helper call
    fn inner(&self, key: &InnerKey) -> Option<RuleRange> {
        // SAFETY: the value is copied at once; the agent replaces it in one eight-byte write.
        unsafe { INNER.get(key) }.copied()
    }

    #[inline(always)] // only a call
    fn inner_selects(&self, range: RuleRange, packet: &Selector) -> bool {
        search::selects(range, packet)
    }

    #[inline(always)] // an inlined array lookup
    fn inner_policy(&self, index: u32) -> u32 {
        INNER_RULES.get(index).map_or(0, |rule| rule.policy)
    }

    #[inline(always)] // one load
    fn has_rules(&self, table: RuleTable) -> bool {
        rule_set(table).bank().is_some()
    }

    #[inline(always)] // only a call
    fn demanded(&self, table: RuleTable, packet: &Selector) -> Option<u32> {
        classifier::demanded(rule_set(table).bank()?, packet)
    }

    #[inline(always)] // a few additions
    fn count_sa(&self, sa: Found, key: &SeenKey, src: &Addr, len: u32, now_ns: u64) {
        if !sas::count(sa, key, src, len, now_ns) {
            let (key, src) = (*key, *src);
            counters::count_flow(&key, &src, len, now_ns);
        }
    }

    #[inline(always)] // a compare and a swap, seldom a call
    fn see_sequence(&self, sa: Found, key: &SeenKey, seq: u32) {
        if sas::counts(sa, key) {
            sas::note(sa.slot(), seq);
        }
    }

    #[inline(always)] // as there
    fn spend(&self, purse: Purse<'_, Found>, interval_ns: u32, burst_ns: u32, now_ns: u64) -> bool {
        budgets::spend(purse, interval_ns, burst_ns, now_ns)
    }

    #[inline(always)] // only a call
    fn count_ghost(&self, key: &SeenKey, src: &Addr, len: u32, now_ns: u64) -> u64 {
        // Copies: the addresses of these escape, those of the packet's fields stay in registers.
        let (key, src) = (*key, *src);
        ghosts::count(self.cpu, &key, &src, len, now_ns)
    }

    #[inline(always)] // one lookup
    fn count_tunnel(&self, tunnel: u32, direction: Direction, len: u32) {
        let index = tunnel.wrapping_mul(TUNNEL_DIRECTIONS).wrapping_add(u32::from(direction.as_raw()));
        counters::tunnel(self.cpu, index, len);
    }

    #[inline(always)] // only a call
    fn spend_sample(&self, sampling: &Sampling, now_ns: u64) -> bool {
        samples::spend(sampling, now_ns)
    }

    #[inline(always)] // two helper calls
    fn sample(&self, sample: &Sample) {
        samples::put(sample);
    }

    #[inline(always)] // one lookup, seldom a call
    fn count_guard(&self, key: &GuardKey, len: u32) {
        counters::count_guard(self.cpu, key, len);
    }

    #[inline(always)] // one lookup
    fn count_reason(&self, hook: Hook, reason: Reason, action: Action, len: u32) {
        let slot = super::place::iface();
        counters::reason(self.cpu, reason_index(slot, hook, reason, action), len);
    }
}
