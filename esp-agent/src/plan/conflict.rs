//! What stands against a plan: objects of others that ours would have to replace.

use super::text::{Label, PolicyName, SaName};
use crate::xfrm::model::{PolicyId, SaId};

/// An object that is wanted and cannot be made without touching one of another program.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Conflict {
    /// Another program's SA has the identity of a wanted one and differs from it.
    #[error(
        "sa {}{} is there, not made by this agent, and differs in {}: delete it or choose another SPI",
        SaName(sa), Label(label.as_deref()), differs.join(", ")
    )]
    Sa {
        /// Identity.
        sa: SaId,
        /// Tunnel.
        label: Option<String>,
        /// Attributes, by name.
        differs: Vec<&'static str>,
    },
    /// The mark of another SA answers for the mark of a wanted one, so that the kernel takes one for the other.
    #[error(
        "sa {} cannot be told from sa {}: give them marks that do not overlap, or another SPI",
        SaName(sa),
        SaName(by)
    )]
    SaMark {
        /// The one that is wanted.
        sa: SaId,
        /// The one that is there.
        by: SaId,
    },
    /// Two wanted SAs have one identity.
    #[error("sa {} is wanted twice: give one of them another SPI", SaName(sa))]
    SaTwice {
        /// Identity.
        sa: SaId,
    },
    /// Another program's policy has the identity of a wanted one and differs from it.
    #[error(
        "policy {} ({label}) is there, not made by this agent, and differs in {}: delete it or change the selector",
        PolicyName(policy), differs.join(", ")
    )]
    Policy {
        /// Identity.
        policy: PolicyId,
        /// Name.
        label: String,
        /// Attributes, by name.
        differs: Vec<&'static str>,
    },
    /// Another program's link has the name of a wanted one and differs from it.
    #[error(
        "link {link} ({label}) is there, not made by this agent, and differs in {}: delete it or take another name",
        differs.join(", ")
    )]
    Link {
        /// Name.
        link: String,
        /// Tunnel.
        label: String,
        /// Attributes, by name.
        differs: Vec<&'static str>,
    },
    /// Two wanted policies have one identity.
    #[error("policy {} is wanted twice: give one of them another selector", PolicyName(policy))]
    PolicyTwice {
        /// Identity.
        policy: PolicyId,
    },
}
