//! What a reader of a plan should know and no step shows.

use super::text::{Label, PolicyName, SaName};
use crate::mtu::Fit;
use crate::xfrm::interface::PartId;
use crate::xfrm::model::{PolicyId, SaId};
use std::fmt;

/// A remark on a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A wanted SA is there, equal in all, made by another: used as it is, never changed or deleted.
    ForeignSa {
        /// Identity.
        sa: SaId,
        /// Tunnel.
        label: Option<String>,
    },
    /// The same for a policy.
    ForeignPolicy {
        /// Identity.
        policy: PolicyId,
        /// Name.
        label: String,
    },
    /// The same for an XFRM interface, an address or a route.
    ForeignPart {
        /// Identity.
        part: PartId,
        /// Tunnel.
        label: String,
    },
    /// An SA is deleted and added: the kernel cannot change these attributes in place.
    Replaces {
        /// Identity.
        sa: SaId,
        /// Tunnel.
        label: Option<String>,
        /// Attributes, by name.
        differs: Vec<&'static str>,
    },
    /// The kernel does not show keys, so that a changed key is not seen.
    KeysHidden {
        /// SAs of ours.
        count: usize,
    },
    /// The keys of a tunnel are not those of the configuration.
    Rotated {
        /// Which they are.
        text: String,
    },
    /// What fits into a tunnel.
    Mtu(Fit),
    /// An SA of ours is not deleted: the kernel might delete another one in its place.
    Stuck {
        /// Ours.
        sa: SaId,
        /// The other.
        by: SaId,
    },
}

impl Note {
    /// The kind, as the JSON form names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ForeignSa { .. } => "foreign_sa",
            Self::ForeignPolicy { .. } => "foreign_policy",
            Self::ForeignPart { .. } => "foreign_part",
            Self::Replaces { .. } => "replaces",
            Self::KeysHidden { .. } => "keys_hidden",
            Self::Rotated { .. } => "rotated",
            Self::Mtu(_) => "mtu",
            Self::Stuck { .. } => "stuck",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForeignSa { sa, label } => {
                let label = Label(label.as_deref());
                write!(f, "sa {}{label} is there and equal, not made by this agent: left alone", SaName(sa))
            }
            Self::ForeignPolicy { policy, label } => {
                let name = PolicyName(policy);
                write!(f, "policy {name} ({label}) is there and equal, not made by this agent: left alone")
            }
            Self::ForeignPart { part, label } => {
                let kind = part.kind();
                write!(f, "{kind} {part} ({label}) is there and equal, not made by this agent: left alone")
            }
            Self::Replaces { sa, label, differs } => {
                let (sa, label, differs) = (SaName(sa), Label(label.as_deref()), differs.join(", "));
                write!(f, "sa {sa}{label} differs in {differs}: replaced, which cannot be undone")
            }
            Self::KeysHidden { count } => {
                write!(
                    f,
                    "the kernel hides the keys of {count} sa (lockdown): a changed key is not seen, `detach` first"
                )
            }
            Self::Rotated { text } => f.write_str(text),
            Self::Mtu(fit) => fit.fmt(f),
            Self::Stuck { sa, by } => {
                let (sa, by) = (SaName(sa), SaName(by));
                write!(
                    f,
                    "sa {sa} stays: the kernel cannot tell it from sa {by} of another program, delete that one first"
                )
            }
        }
    }
}
