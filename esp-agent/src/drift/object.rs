//! An SA, a policy or whatever else is ours, by its identity.

use crate::plan::text::{PolicyName, SaName};
use crate::plan::{Conflict, Step};
use crate::xfrm::interface::PartId;
use crate::xfrm::model::{PolicyId, SaId};
use std::fmt;

/// What drifts.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Object {
    /// An SA.
    Sa(SaId),
    /// A policy.
    Policy(PolicyId),
    /// An XFRM interface, an address or a route of one.
    Part(PartId),
    /// What becomes of packets that no policy matches.
    DefaultPolicy,
}

impl Object {
    /// All labels.
    pub const KINDS: [&'static str; 6] = ["sa", "policy", "link", "address", "route", "default_policy"];

    /// The label in metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Sa(_) => "sa",
            Self::Policy(_) => "policy",
            Self::Part(id) => id.kind(),
            Self::DefaultPolicy => "default_policy",
        }
    }

    /// That a step is about.
    #[must_use]
    pub fn of(step: &Step) -> Self {
        match step {
            Step::AddSa(step) | Step::DeleteSa(step) => Self::Sa(step.sa.id),
            Step::AddPolicy(step) | Step::DeletePolicy(step) => Self::Policy(step.policy.id.clone()),
            Step::UpdatePolicy { new, .. } => Self::Policy(new.policy.id.clone()),
            Step::AddPart(step) | Step::DeletePart(step) => Self::Part(step.part.id()),
            Step::UpdateLink { new, .. } => Self::Part(PartId::Link(new.name.clone())),
            Step::SetDefault { .. } => Self::DefaultPolicy,
        }
    }

    /// That a conflict keeps from being made.
    #[must_use]
    pub fn wanted_by(conflict: &Conflict) -> Self {
        match conflict {
            Conflict::Sa { sa, .. } | Conflict::SaMark { sa, .. } | Conflict::SaTwice { sa } => Self::Sa(*sa),
            Conflict::Policy { policy, .. } | Conflict::PolicyTwice { policy } => {
                Self::Policy(policy.clone())
            }
            Conflict::Link { link, .. } => Self::Part(PartId::Link(link.clone())),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sa(id) => write!(f, "sa {}", SaName(id)),
            Self::Policy(id) => write!(f, "policy {}", PolicyName(id)),
            Self::Part(id) => write!(f, "{} {id}", id.kind()),
            Self::DefaultPolicy => f.write_str("default policy"),
        }
    }
}
