//! The tiers of tests, by what each needs.

use std::fmt;

use super::tally::Tally;

/// A tier. A test that a plain `cargo test` must leave out names its tier: `#[ignore = "T3: root, namespaces"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Tier {
    /// Pure functions on the host
    #[value(name = "0")]
    Host,
    /// Golden texts and messages; runs with tier 0
    #[value(name = "1")]
    Golden,
    /// The running kernel's verifier and test runs (root)
    #[value(name = "2")]
    Kernel,
    /// Network namespaces on the running kernel (root)
    #[value(name = "3")]
    Namespace,
    /// Real SAs on kernels with ESP, in VMs
    #[value(name = "4")]
    Vm,
}

impl Tier {
    /// All tiers, in the order of running them.
    pub(super) const ALL: [Self; 5] = [Self::Host, Self::Golden, Self::Kernel, Self::Namespace, Self::Vm];

    /// How the reason starts for which its tests are ignored.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Host => "T0:",
            Self::Golden => "T1:",
            Self::Kernel => "T2:",
            Self::Namespace => "T3:",
            Self::Vm => "T4:",
        }
    }

    /// Whether a plain `cargo test` runs it.
    pub(super) fn is_plain(self) -> bool {
        match self {
            Self::Host | Self::Golden => true,
            Self::Kernel | Self::Namespace | Self::Vm => false,
        }
    }
}

/// What became of a tier or a part of it; `Display` is its closing line.
pub(super) struct Outcome {
    /// As `T0 and T1` or `T4`.
    pub(super) name: &'static str,
    pub(super) result: Run,
}

/// Whether tests ran.
pub(super) enum Run {
    /// They ran, at this place.
    Open { place: String, tally: Tally },
    /// They could not, for this reason.
    Closed { reason: String, tests: usize },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Run::Open { place, tally } => write!(f, "{}: {tally}; {place}", self.name),
            Run::Closed { reason, tests } => write!(f, "{}: NOT OPENED, {tests} tests: {reason}", self.name),
        }
    }
}
