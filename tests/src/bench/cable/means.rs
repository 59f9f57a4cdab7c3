//! Who drops ESP that no SA has, and what that should cost.

use crate::bench::ratio::Target;
use std::fmt;

/// SAs, SPIs.
pub(super) const FEW: u32 = 1 << 10;
/// As above.
pub(super) const MANY: u32 = 1 << 16;

/// Who drops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// The stack, by itself.
    Stack,
    /// So many rules of iptables.
    Iptables(u32),
    /// A set of nftables of so many SPIs, at ingress.
    Nft(u32),
    /// Ours at TC alone.
    Tc,
    /// Ours at XDP, in the stack.
    Generic,
    /// Ours at XDP, in the driver, with so many SAs.
    Native(u32),
    /// A program at XDP that does nothing else.
    Empty,
    /// Nobody: a program at XDP that passes all.
    Pass,
}

impl Means {
    /// All that drop, in the order of the report.
    pub const ALL: [Self; 10] = [
        Self::Stack,
        Self::Iptables(1),
        Self::Iptables(64),
        Self::Nft(FEW),
        Self::Nft(MANY),
        Self::Tc,
        Self::Generic,
        Self::Native(FEW),
        Self::Native(MANY),
        Self::Empty,
    ];

    /// What it is measured by, and the ratio that is good enough.
    pub(super) const fn beside(self) -> Option<(Self, Target)> {
        match self {
            Self::Stack => Some((Self::Native(FEW), Target::AtLeast(10.0))),
            Self::Iptables(1) | Self::Tc => Some((Self::Native(FEW), Target::AtLeast(3.0))),
            Self::Iptables(_) => Some((Self::Native(FEW), Target::AtLeast(10.0))),
            Self::Nft(spis) => Some((Self::Native(spis), Target::AtLeast(3.5))),
            Self::Generic => Some((Self::Native(FEW), Target::AtLeast(2.5))),
            Self::Native(FEW) => Some((Self::Empty, Target::AtMost(1.15))),
            Self::Native(_) => Some((Self::Empty, Target::AtMost(1.5))),
            Self::Empty | Self::Pass => None,
        }
    }

    /// It is not ours: a machine may not have it.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Iptables(_) | Self::Nft(_))
    }
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stack => f.pad("stack, no rule"),
            Self::Iptables(1) => f.pad("iptables -m esp, 1 rule"),
            Self::Iptables(rules) => f.pad(&format!("iptables -m esp, {rules} rules")),
            Self::Nft(spis) => f.pad(&format!("nft set at ingress, {spis} SPIs")),
            Self::Tc => f.pad("ours, TC alone"),
            Self::Generic => f.pad("ours, generic XDP"),
            Self::Native(sas) => f.pad(&format!("ours, native XDP, {sas} SAs")),
            Self::Empty => f.pad("native XDP that only drops"),
            Self::Pass => f.pad("native XDP that only passes"),
        }
    }
}
