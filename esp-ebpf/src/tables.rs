//! The seam to the maps.

use esp_common::{
    Action, Addr, Direction, FlowKey, GuardKey, Hook, InnerKey, Reason, RuleRange, RuleTable, Sample,
    Sampling, SeenKey, Selector,
};

/// Whose budget a packet is taken from.
#[derive(Clone, Copy, Debug)]
pub enum Purse<'a, Sa> {
    /// That of the SA.
    Sa(Sa),
    /// That of the peer with this outer source.
    Peer(&'a Addr),
    /// That of all SPIs that no SA has.
    Unknown,
}

/// Lookups and counters. A lookup that fails for want of a map reads as absent.
pub trait Tables {
    /// A found SA: where its counters are.
    type Sa: Copy;

    /// The SA of (destination, SPI).
    fn sa(&self, key: &FlowKey) -> Option<Self::Sa>;

    /// Its place in the table.
    fn slot(&self, sa: Self::Sa) -> u32;

    /// The tunnel of an SA; 0 is none.
    fn tunnel(&self, sa: Self::Sa) -> u32;

    /// True when `addr` is one of our own.
    fn is_local(&self, addr: &Addr) -> bool;

    /// The range of selectors of the SA that a packet was decrypted by.
    fn inner(&self, key: &InnerKey) -> Option<RuleRange>;

    /// True when one of the rules in `range` selects the packet ([`esp_common::Rule::matches`], in any direction).
    ///
    /// A walk of the tables and not a loop of ours: the kernel has a helper that walks without the verifier walking too.
    fn inner_selects(&self, range: RuleRange, packet: &Selector) -> bool;

    /// The policy of one rule of an SA.
    fn inner_policy(&self, index: u32) -> u32;

    /// True while a set of rules is in force.
    fn has_rules(&self, table: RuleTable) -> bool;

    /// The policy that demands protection of the packet, by the rules in force ([`crate::policy::demands`]).
    fn demanded(&self, table: RuleTable, packet: &Selector) -> Option<u32>;

    /// Adds a packet to the counters of the SA's flow.
    fn count_sa(&self, sa: Self::Sa, key: &SeenKey, src: &Addr, len: u32, now_ns: u64);

    /// Takes note of the sequence number of a packet of the flow that the SA's counters are of.
    fn see_sequence(&self, sa: Self::Sa, key: &SeenKey, seq: u32);

    /// Takes a packet out of a budget; false when it has none left ([`crate::budget::spend`]).
    fn spend(&self, purse: Purse<'_, Self::Sa>, interval_ns: u32, burst_ns: u32, now_ns: u64) -> bool;

    /// Adds a packet to the counters of a flow that no SA has: those share a bounded table. Hands back a moment at or after
    /// which this CPU saw the flow first.
    fn count_ghost(&self, key: &SeenKey, src: &Addr, len: u32, now_ns: u64) -> u64;

    /// Adds a packet to the tunnel's counters.
    fn count_tunnel(&self, tunnel: u32, direction: Direction, len: u32);

    /// Takes one out of the budget of samples; false, and counted, when it has none left.
    fn spend_sample(&self, sampling: &Sampling, now_ns: u64) -> bool;

    /// Tells of a dropped packet.
    fn sample(&self, sample: &Sample);

    /// Adds a hit to a guard.
    fn count_guard(&self, key: &GuardKey, len: u32);

    /// Adds a packet to its one reason.
    fn count_reason(&self, hook: Hook, reason: Reason, action: Action, len: u32);
}
