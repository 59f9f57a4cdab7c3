//! One change of the kernel's databases, and its inverse.

use crate::xfrm::interface::{Part, XfrmLink};
use crate::xfrm::model::{DefaultPolicy, Policy, Sa};

/// One change. Steps carry no keys: they are looked up in the desired state when the step is run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Adds an SA.
    AddSa(SaStep),
    /// Deletes an SA of ours.
    DeleteSa(SaStep),
    /// Adds a policy.
    AddPolicy(PolicyStep),
    /// Changes a policy of ours in one step: the kernel has the one or the other at every moment.
    UpdatePolicy {
        /// As it is.
        old: Policy,
        /// As it shall be.
        new: PolicyStep,
    },
    /// Deletes a policy of ours.
    DeletePolicy(PolicyStep),
    /// Makes an XFRM interface, or gives one an address or a route.
    AddPart(PartStep),
    /// Sets the MTU of an XFRM interface of ours, and sets it up.
    UpdateLink {
        /// As it is.
        old: XfrmLink,
        /// It is up.
        was_up: bool,
        /// As it shall be.
        new: XfrmLink,
        /// Name of its tunnel.
        label: Option<String>,
    },
    /// Deletes an XFRM interface of ours, or an address or a route of one.
    DeletePart(PartStep),
    /// Decides about packets that no policy matches.
    SetDefault {
        /// As it is.
        old: DefaultPolicy,
        /// As it shall be.
        new: DefaultPolicy,
    },
}

/// The SA of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaStep {
    /// The SA.
    pub sa: Sa,
    /// Name of its tunnel; `None` for a raw SA, and for one that is no longer configured.
    pub label: Option<String>,
}

/// The policy of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyStep {
    /// The policy.
    pub policy: Policy,
    /// Its name in the configuration; `None` for one that is no longer configured.
    pub label: Option<String>,
}

/// The part of an XFRM interface of a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartStep {
    /// The part.
    pub part: Part,
    /// Name of its tunnel; `None` for one that is no longer configured.
    pub label: Option<String>,
}

impl PartStep {
    /// Of a link.
    #[must_use]
    pub fn of(link: &XfrmLink, label: Option<&String>) -> Self {
        Self { part: Part::Link(link.clone()), label: label.cloned() }
    }
}

impl Step {
    /// The step that takes this one back. `None` for the deletion of an SA: its keys are kept nowhere, so
    /// neither it nor the old half of a replacement can be brought back.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        match self {
            Self::AddSa(step) => Some(Self::DeleteSa(step.clone())),
            Self::DeleteSa(_) => None,
            Self::AddPolicy(step) => Some(Self::DeletePolicy(step.clone())),
            Self::UpdatePolicy { old, new } => Some(Self::UpdatePolicy {
                old: new.policy.clone(),
                new: PolicyStep { policy: old.clone(), label: new.label.clone() },
            }),
            Self::DeletePolicy(step) => Some(Self::AddPolicy(step.clone())),
            Self::AddPart(step) => Some(Self::DeletePart(step.clone())),
            Self::DeletePart(step) => Some(Self::AddPart(step.clone())),
            // That it was down is not brought back: nobody had asked for that.
            Self::UpdateLink { old, new, label, .. } => Some(Self::UpdateLink {
                old: new.clone(),
                was_up: true,
                new: old.clone(),
                label: label.clone(),
            }),
            Self::SetDefault { old, new } => Some(Self::SetDefault { old: *new, new: *old }),
        }
    }

    /// True when the step leaves an object in the kernel that must be in the ownership record first.
    #[must_use]
    pub const fn leaves_something(&self) -> bool {
        match self {
            Self::AddSa(_)
            | Self::AddPolicy(_)
            | Self::UpdatePolicy { .. }
            | Self::AddPart(_)
            | Self::SetDefault { .. } => true,
            Self::DeleteSa(_) | Self::DeletePolicy(_) | Self::DeletePart(_) | Self::UpdateLink { .. } => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::{lab_policies, lab_sa_out};

    #[test]
    fn an_inverse_of_an_inverse_is_the_step() {
        let policy = lab_policies().remove(0);
        let new = PolicyStep { policy: policy.clone(), label: Some("a".into()) };
        let old = Policy { priority: 7, ..policy };
        for step in
            [Step::AddPolicy(new.clone()), Step::DeletePolicy(new.clone()), Step::UpdatePolicy { old, new }]
        {
            assert_eq!(step.inverse().unwrap().inverse(), Some(step));
        }
    }

    #[test]
    fn a_deleted_sa_cannot_come_back() {
        let step = SaStep { sa: lab_sa_out(), label: None };
        assert_eq!(Step::AddSa(step.clone()).inverse(), Some(Step::DeleteSa(step.clone())));
        assert_eq!(Step::DeleteSa(step).inverse(), None);
    }
}
