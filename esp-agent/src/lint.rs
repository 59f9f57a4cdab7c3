//! Lints: what works and is still a bad idea, in a configuration, in the kernel and in a dump of another host.
//!
//! `{Config, Netlink, text of ip-xfrm} -> Scene -> rules -> Finding`. Those that need more than SAs and policies (key
//! files, lines) are found where the configuration is checked; all have their code here.

mod algorithms;
mod code;
pub mod dump;
mod policies;
mod sas;

pub use code::{LintCode, markdown};

use crate::plan::Observed;
use crate::xfrm::model::{ObservedPolicy, ObservedSa};
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// SAs and policies of one host, and what is known of it beside them.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// SAs.
    pub sas: &'a [ObservedSa],
    /// Policies.
    pub policies: &'a [ObservedPolicy],
    /// What else is known.
    pub facts: &'a Facts,
}

/// What is known of a host beside its SAs and policies.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The SAs are all that there are.
    pub all_sas: bool,
    /// The policies are all that there are.
    pub all_policies: bool,
    /// It forwards packets; `None` is not known.
    pub forwarding: Option<bool>,
    /// Its addresses; empty is not known.
    pub locals: Vec<IpAddr>,
    /// Seconds since the epoch at which the counters were read; `None` is not known.
    pub now_s: Option<u64>,
}

/// One bad idea.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Which rule.
    pub code: LintCode,
    /// What it is about, in words.
    pub object: String,
    /// Why it is a bad idea.
    pub reason: String,
    /// What to do instead.
    pub fix: String,
    /// Where it stands in the scene.
    #[serde(skip)]
    pub subject: Subject,
}

/// Place of an object in a [`Scene`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// Index of an SA.
    Sa(usize),
    /// Index of a policy.
    Policy(usize),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: lint {}: {}: {}", self.object, self.code.label(), self.reason, self.fix)
    }
}

impl Scene<'_> {
    /// Everything that is found, SAs first.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = sas::look(self);
        found.extend(policies::look(self));
        found.sort_by_key(|finding| (finding.subject, finding.code));
        found
    }
}

/// The findings in the kernel's own databases.
#[must_use]
pub fn live(observed: &Observed, facts: &Facts) -> Vec<Finding> {
    Scene { sas: &observed.sas, policies: &observed.policies, facts }.findings()
}

#[cfg(test)]
mod tests;
