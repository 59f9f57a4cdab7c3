//! What the configuration asks the kernel to have.

use crate::xfrm::model::{Policy, Sa, SaKeys};

/// All SAs and policies that are wanted.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// SAs.
    pub sas: Vec<KeyedSa>,
    /// Policies.
    pub policies: Vec<NamedPolicy>,
}

/// An SA and its keys.
#[derive(Clone, Debug)]
pub struct KeyedSa {
    /// The SA.
    pub sa: Sa,
    /// Its keys.
    pub keys: SaKeys,
    /// The tunnel that it is part of.
    pub tunnel: Option<String>,
}

/// A policy and its name.
#[derive(Clone, Debug)]
pub struct NamedPolicy {
    /// The policy.
    pub policy: Policy,
    /// Its name.
    pub name: String,
    /// The tunnel that it is part of.
    pub tunnel: Option<String>,
}
