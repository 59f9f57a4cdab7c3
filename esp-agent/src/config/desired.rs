//! What the kernel is asked to have.

use crate::xfrm::interface::Part;
use crate::xfrm::model::{DefaultPolicy, Policy, Sa, SaKeys};

/// All SAs and policies of a configuration: those of its tunnels, then the raw ones, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// SAs; no two with one identity.
    pub sas: Vec<KeyedSa>,
    /// Policies; no two with one identity.
    pub policies: Vec<NamedPolicy>,
    /// XFRM interfaces, each before its addresses and routes; no two with one identity.
    pub parts: Vec<NamedPart>,
    /// What becomes of packets that no policy matches; `None` leaves it as it is.
    pub default_policy: Option<DefaultPolicy>,
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
    /// The NIC that it is offloaded to: [`super::Config::find_devices`] puts its index into `sa.offload`.
    pub device: Option<String>,
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
    /// The interface that it is bound to: [`super::Config::find_devices`] puts its index into the selector.
    pub device: Option<String>,
}

/// A part of an XFRM interface and the tunnel that it is made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedPart {
    /// The part.
    pub part: Part,
    /// The tunnel.
    pub tunnel: String,
}

/// Interfaces that the configuration names and this host does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{user} names interface {device}, which is not here: see `ip link`, or make it before the agent starts"
)]
pub struct NoDevice {
    /// SA or policy.
    pub user: String,
    /// Interface.
    pub device: String,
}
