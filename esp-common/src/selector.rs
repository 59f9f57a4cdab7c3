//! Policy selectors as the datapath compares them.

use crate::addr::{Addr, Prefix};
use crate::names::RULES;
use bytemuck::{Pod, Zeroable};

/// The fields of a packet that a selector looks at (`struct xfrm_selector`).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct Selector {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port, or ICMP type (as the kernel's flow has it); 0 in a fragment.
    pub sport: u16,
    /// Destination port, or ICMP code; 0 in a fragment.
    pub dport: u16,
    /// Upper-layer protocol.
    pub proto: u8,
    /// 4 or 6.
    pub family: u8,
    /// Zero.
    pub pad: [u8; 2],
}

/// What a policy wants (RFC 4301 section 4.4.1).
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleAction {
    /// Passes in the clear: an allow policy without a template.
    Bypass = 0,
    /// Must be protected: an allow policy with a required template.
    Protect = 1,
    /// Is dropped by the kernel: a block policy.
    Discard = 2,
}

impl RuleAction {
    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }
}

/// One policy of the SPD, ready for comparison. Ports and numbers are native-endian here.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct Rule {
    /// Source network.
    pub src: Prefix,
    /// Destination network.
    pub dst: Prefix,
    /// Source port and its mask (0 matches all).
    pub sport: u16,
    /// Mask of the source port.
    pub sport_mask: u16,
    /// Destination port.
    pub dport: u16,
    /// Mask of the destination port.
    pub dport_mask: u16,
    /// Upper-layer protocol; 0 matches all.
    pub proto: u8,
    /// 4 or 6.
    pub family: u8,
    /// [`RuleAction::as_raw`].
    pub action: u8,
    /// [`Rule::DIR_IN`], [`Rule::DIR_FWD`] or [`Rule::DIR_OUT`].
    pub dir: u8,
    /// The kernel's index of the policy.
    pub policy: u32,
}

impl Rule {
    /// The `in` policies.
    pub const DIR_IN: u8 = 1;
    /// The `fwd` policies.
    pub const DIR_FWD: u8 = 2;
    /// The `out` policies.
    pub const DIR_OUT: u8 = 4;

    /// True when the packet lies in the selector.
    #[inline(always)] // the body of the rule loop: a call for each rule would cost more than the compare
    #[must_use]
    pub const fn matches(&self, packet: &Selector) -> bool {
        let ports =
            ((packet.sport ^ self.sport) & self.sport_mask) | ((packet.dport ^ self.dport) & self.dport_mask);
        let proto = self.proto != 0 && self.proto != packet.proto;
        self.src.contains(packet.src)
            & self.dst.contains(packet.dst)
            & (ports == 0)
            & !proto
            & (self.family == packet.family)
    }
}

/// One half of a double-buffered rule set, in the kernel's order: smallest priority first, then oldest.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct RuleSet {
    /// Rules in use.
    pub count: u32,
    /// Zero.
    pub pad: u32,
    /// The rules.
    pub rules: [Rule; RULES],
}

const _: () = {
    assert!(size_of::<Selector>() == 40 && size_of::<Rule>() == 80);
    assert!(size_of::<RuleSet>() == 8 + 80 * RULES);
};
