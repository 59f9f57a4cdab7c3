//! The seams of the datapath over plain memory: a slice is the packet, ordinary collections are the maps.

use crate::world::World;
use esp_common::{
    Action, Addr, Counter, Direction, FlowCounter, FlowKey, GuardKey, Hook, InnerKey, Reason, Rule,
    RuleRange, RuleTable, SaEntry, Sample, Sampling, SeenKey, Selector, Spi,
};
use esp_datapath::{
    Packet, Purse, Tables, Words, budget,
    parse::Ip,
    policy::{Found, demands},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

/// A frame in memory.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    /// The frame.
    pub frame: &'a [u8],
    /// The SA that it claims to have come through.
    pub decrypted_by: Option<InnerKey>,
    /// The SAs that the kernel has, whether our table has them or not; `None` if it cannot be asked.
    pub in_sad: Option<&'a [FlowKey]>,
    /// The SA of the table has a CPU of its own.
    pub steered: bool,
}

impl Packet for Bytes<'_> {
    fn len(&self) -> u32 {
        u32::try_from(self.frame.len()).expect("a test frame is below 4 GiB")
    }

    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.frame.get(offset as usize..)?.first_chunk().copied()
    }

    fn decrypted_by(&self) -> Option<InnerKey> {
        self.decrypted_by
    }

    fn kernel_has(&self, dst: &Addr, spi: Spi) -> Option<bool> {
        Some(self.in_sad?.contains(&FlowKey::new(*dst, spi)))
    }

    /// The slot of every SA here is 0.
    fn hand(&self, slot: u32) -> bool {
        self.steered && slot == 0
    }

    /// There are routes in a kernel alone.
    fn forward(&self, _: &Ip) -> bool {
        false
    }
}

/// The tables of a [`World`], and all that was counted.
#[derive(Default, Debug)]
pub struct Memory {
    world: World,
    seen: RefCell<Seen>,
    /// When the next packet is due: of the SA (there is one in each test), of a peer, of nobody.
    due: RefCell<HashMap<Option<Addr>, u64>>,
}

/// A word.
#[derive(Clone, Copy)]
struct One<'a>(&'a Cell<u64>);

impl Words for One<'_> {
    fn load(self, _: usize) -> u64 {
        self.0.get()
    }

    fn store(self, _: usize, value: u64) {
        self.0.set(value);
    }

    fn add(self, _: usize, more: u64) {
        self.0.set(self.0.get() + more);
    }

    fn swap(self, _: usize, old: u64, fresh: u64) -> bool {
        self.0.replace(fresh) == old
    }
}

/// What was counted.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// Each packet's reason.
    pub reasons: Vec<(Hook, Reason, Action, u32)>,
    /// Flows, and whether an SA is behind them.
    pub flows: HashMap<(SeenKey, bool), FlowCounter>,
    /// Dropped packets.
    pub samples: Vec<Sample>,
    /// Totals of tunnels.
    pub tunnels: HashMap<(u32, Direction), Counter>,
    /// Hits of guards.
    pub hits: HashMap<GuardKey, Counter>,
}

impl Memory {
    /// Empty counters over `world`.
    #[must_use]
    pub fn new(world: World) -> Self {
        Self { world, ..Self::default() }
    }

    /// What was counted.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }
}

impl Memory {
    fn count_flow(&self, key: &SeenKey, known: bool, src: &Addr, len: u32, now_ns: u64) -> u64 {
        let mut seen = self.seen.borrow_mut();
        let nothing = FlowCounter { packets: 0, bytes: 0, first_ns: now_ns, last_ns: now_ns, src: *src };
        let flow = seen.flows.entry((*key, known)).or_insert(nothing);
        flow.packets += 1;
        flow.bytes += u64::from(len);
        flow.last_ns = now_ns;
        flow.first_ns
    }
}

impl Memory {
    fn rules(&self, table: RuleTable) -> &[Rule] {
        match table {
            RuleTable::In => &self.world.rules_in,
            RuleTable::Out => &self.world.rules_out,
        }
    }
}

/// Verdict and policy of the first rule that matches the packet in a direction.
#[must_use]
pub fn first_rule(rules: &[Rule], packet: &Selector, dir: u8) -> Option<(u8, u32)> {
    rules.iter().find(|rule| rule.matches(packet, dir)).map(|rule| (rule.verdict, rule.policy))
}

fn add(counter: &mut Counter, len: u32) {
    counter.packets += 1;
    counter.bytes += u64::from(len);
}

impl Tables for Memory {
    type Sa = SaEntry;

    fn sa(&self, key: &FlowKey) -> Option<SaEntry> {
        self.world.sas.get(key).filter(|_| !key.spi.is_zero()).copied()
    }

    fn slot(&self, _: SaEntry) -> u32 {
        0
    }

    fn tunnel(&self, sa: SaEntry) -> u32 {
        sa.tunnel
    }

    fn is_local(&self, addr: &Addr) -> bool {
        self.world.locals.contains(addr)
    }

    fn inner(&self, key: &InnerKey) -> Option<RuleRange> {
        self.world.inner.get(key).copied()
    }

    fn inner_selects(&self, range: RuleRange, packet: &Selector) -> bool {
        let mut rules = self.world.inner_rules.iter().skip(range.first as usize).take(range.count as usize);
        rules.any(|rule| rule.matches(packet, 0))
    }

    fn inner_policy(&self, index: u32) -> u32 {
        self.world.inner_rules[index as usize].policy
    }

    fn has_rules(&self, table: RuleTable) -> bool {
        !self.rules(table).is_empty()
    }

    /// The plain walk that the compiled rules are compared with.
    fn demanded(&self, table: RuleTable, packet: &Selector) -> Option<u32> {
        let found = |dir| Found::of(first_rule(self.rules(table), packet, dir));
        match table {
            RuleTable::In => demands(found(Rule::DIR_FWD), found(Rule::DIR_IN)),
            RuleTable::Out => demands(Found::Nothing, found(Rule::DIR_OUT)),
        }
    }

    fn count_sa(&self, _: SaEntry, key: &SeenKey, src: &Addr, len: u32, now_ns: u64) {
        self.count_flow(key, true, src, len, now_ns);
    }

    /// What the numbers tell has tests of its own.
    fn see_sequence(&self, _: SaEntry, _: &SeenKey, _: u32) {}

    fn spend(&self, purse: Purse<'_, SaEntry>, interval_ns: u32, burst_ns: u32, now_ns: u64) -> bool {
        let purse = match purse {
            Purse::Sa(_) => None,
            Purse::Peer(src) => Some(*src),
            Purse::Unknown => Some(Addr::UNSPECIFIED),
        };
        let mut due = self.due.borrow_mut();
        budget::spend(One(Cell::from_mut(due.entry(purse).or_default())), 0, interval_ns, burst_ns, now_ns)
    }

    fn count_ghost(&self, key: &SeenKey, src: &Addr, len: u32, now_ns: u64) -> u64 {
        self.count_flow(key, false, src, len, now_ns)
    }

    fn count_tunnel(&self, tunnel: u32, direction: Direction, len: u32) {
        add(self.seen.borrow_mut().tunnels.entry((tunnel, direction)).or_default(), len);
    }

    fn spend_sample(&self, _: &Sampling, _: u64) -> bool {
        true
    }

    fn sample(&self, sample: &Sample) {
        self.seen.borrow_mut().samples.push(*sample);
    }

    fn count_guard(&self, key: &GuardKey, len: u32) {
        add(self.seen.borrow_mut().hits.entry(*key).or_default(), len);
    }

    fn count_reason(&self, hook: Hook, reason: Reason, action: Action, len: u32) {
        self.seen.borrow_mut().reasons.push((hook, reason, action, len));
    }
}
