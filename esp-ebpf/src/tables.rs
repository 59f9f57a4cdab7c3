//! The seam to the maps.

use esp_common::{
    Action, Addr, Direction, FlowKey, GuardKey, Hook, InnerKey, Reason, RuleRange, RuleTable, SaEntry,
    SeenKey, Selector,
};

/// Lookups and counters. A lookup that fails for want of a map reads as absent.
pub trait Tables {
    /// The SA of (destination, SPI).
    fn sa(&self, key: &FlowKey) -> Option<SaEntry>;

    /// True when `addr` is one of our own.
    fn is_local(&self, addr: &Addr) -> bool;

    /// The range of selectors of the SA that a packet was decrypted by.
    fn inner(&self, key: &InnerKey) -> Option<RuleRange>;

    /// Verdict and policy of the first rule in `range` that [`esp_common::Rule::matches`] the packet and `dir`.
    ///
    /// A walk of the tables and not a loop of ours: the kernel has a helper that walks without the verifier walking too.
    fn first_rule(&self, table: RuleTable, range: RuleRange, packet: &Selector, dir: u8)
    -> Option<(u8, u32)>;

    /// The policy of one rule of an SA.
    fn inner_policy(&self, index: u32) -> u32;

    /// Adds a packet to the flow's counters: `known` ones have room reserved, the others share a bounded table. Hands back
    /// when this CPU saw the flow first.
    fn count_flow(&self, key: &SeenKey, known: bool, src: &Addr, len: u32, now_ns: u64) -> u64;

    /// Adds a packet to the tunnel's counters.
    fn count_tunnel(&self, tunnel: u32, direction: Direction, len: u32);

    /// Adds a hit to a guard.
    fn count_guard(&self, key: &GuardKey, len: u32);

    /// Adds a packet to its one reason.
    fn count_reason(&self, hook: Hook, reason: Reason, action: Action, len: u32);
}
