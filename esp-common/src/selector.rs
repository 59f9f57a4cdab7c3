//! Policy selectors as the datapath compares them.

use crate::addr::{Addr, Prefix};
use bytemuck::{Pod, Zeroable};

/// The fields of a packet that a selector looks at (`struct xfrm_selector`).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct Selector {
    /// Source address.
    pub src: Addr,
    /// Destination address.
    pub dst: Addr,
    /// Source port, or ICMP type (as the kernel's flow has it); 0 where unknown.
    pub sport: u16,
    /// Destination port, or ICMP code; 0 where unknown.
    pub dport: u16,
    /// Upper-layer protocol.
    pub proto: u8,
    /// 4 or 6.
    pub family: u8,
    /// All ones; zero where the packet does not show its ports (a fragment).
    pub port_mask: u16,
}

/// Protocols whose first four bytes are two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// True when a header of the protocol begins with two ports.
#[inline(always)] // five compares
#[must_use]
pub const fn has_ports(proto: u8) -> bool {
    let [a, b, c, d, e] = WITH_PORTS;
    proto == a || proto == b || proto == c || proto == d || proto == e
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

/// The bit of the action that [`RuleAction::Protect`] alone has.
const PROTECT_BIT: u16 = RuleAction::Protect as u16;

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
    /// Upper-layer protocol and its mask (0 matches all).
    pub proto: u8,
    /// Mask of the protocol.
    pub proto_mask: u8,
    /// 4 or 6.
    pub family: u8,
    /// One of [`Rule::DIR_IN`], [`Rule::DIR_FWD`], [`Rule::DIR_OUT`], and the action above it: [`Rule::verdict`].
    pub verdict: u8,
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

    /// The verdict field of a direction and an action.
    #[must_use]
    pub const fn verdict(dir: u8, action: RuleAction) -> u8 {
        dir | (action.as_raw() << 4)
    }

    /// True when the rule says that a packet must be protected.
    #[inline(always)] // one compare
    #[must_use]
    pub const fn protects(verdict: u8) -> bool {
        verdict >> 4 == RuleAction::Protect.as_raw()
    }

    /// True when the packet lies in the selector and the rule is of direction `dir`.
    ///
    /// Where the packet does not show its ports, a rule that asks for some matches if it lets pass and does not if it
    /// protects: no packet is dropped for what cannot be seen.
    ///
    /// One sum of differences and one comparison: branches would be mispredicted once for each rule.
    #[inline(always)] // the body of the rule loop: a call for each rule would cost more than the compare
    #[must_use]
    pub const fn matches(&self, packet: &Selector, dir: u8) -> bool {
        let ports =
            ((packet.sport ^ self.sport) & self.sport_mask) | ((packet.dport ^ self.dport) & self.dport_mask);
        let asked = packet.port_mask | 0_u16.wrapping_sub((self.verdict >> 4) as u16 & PROTECT_BIT);
        let proto = (packet.proto ^ self.proto) & self.proto_mask;
        let kind = proto | (packet.family ^ self.family) | ((self.verdict & dir) ^ dir);
        let addresses = self.src.difference(packet.src) | self.dst.difference(packet.dst);
        addresses | ((ports & asked) as u64) | (kind as u64) == 0
    }
}

/// A run of rules in a table. Eight bytes, so that it is replaced in one write.
#[repr(C, align(8))]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct RuleRange {
    /// Index of the first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// The tables of rules of which one set is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleTable {
    /// `in` and `fwd` policies, in the kernel's order.
    In,
    /// `out` policies, the same way.
    Out,
}

const _: () = {
    assert!(size_of::<Selector>() == 40 && size_of::<Rule>() == 80);
    assert!(size_of::<RuleRange>() == 8);
    assert!(PROTECT_BIT == 1 && (RuleAction::Bypass as u16 | RuleAction::Discard as u16) & PROTECT_BIT == 0);
};
