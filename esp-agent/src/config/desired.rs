//! What the kernel is asked to have.

use crate::xfrm::model::{Policy, Sa, SaKeys};

/// All SAs and policies of a configuration: those of its tunnels, then the raw ones, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// SAs; no two with one identity.
    pub sas: Vec<KeyedSa>,
    /// Policies; no two with one identity.
    pub policies: Vec<NamedPolicy>,
}

/// An SA with its keys.
#[derive(Clone, Debug)]
pub struct KeyedSa {
    /// The SA.
    pub sa: Sa,
    /// Its keys; `sa.keys` is their print.
    pub keys: SaKeys,
    /// The tunnel that its packets are counted for.
    pub tunnel: Option<String>,
}

/// A policy with the name that metrics and messages use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedPolicy {
    /// The policy.
    pub policy: Policy,
    /// Unique within a configuration, such as `site-b/fwd`.
    pub name: String,
    /// The tunnel that it belongs to.
    pub tunnel: Option<String>,
}
