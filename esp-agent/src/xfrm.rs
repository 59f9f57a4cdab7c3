//! The kernel's IPsec databases, the SAD and the SPD, over netlink.
//!
//! `model` values -> `encode` -> `netlink` -> kernel; kernel -> `netlink` (dumps) or `events` -> `decode` -> `model`.

pub mod compare;
pub mod decode;
pub mod encode;
pub mod error;
pub mod events;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod interface;
pub mod model;
pub mod netlink;
pub mod order;
pub mod uapi;

pub use crate::nl::NetlinkError;
pub use error::XfrmError;

use std::io;

use crate::sequence::LedgerError;
use interface::{ObservedLink, Part, XfrmLink};
use model::{DefaultPolicy, ObservedPolicy, ObservedSa, Policy, PolicyId, Sa, SaId, SaKeys};

/// The SAD and the SPD of one network namespace. Calls block: use them in `spawn_blocking` or on an own thread.
pub trait Xfrm {
    /// Every SA of every protocol, read again when the kernel says that it changed meanwhile.
    ///
    /// # Errors
    /// [`XfrmError::Dump`] or [`XfrmError::Decode`].
    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError>;

    /// Every policy but those of single sockets and those of type sub.
    ///
    /// # Errors
    /// [`XfrmError::Dump`] or [`XfrmError::Decode`].
    fn policies(&mut self) -> Result<Vec<ObservedPolicy>, XfrmError>;

    /// Is told of the SAs that are about to be added, so that what must be written down for them before is written
    /// once.
    ///
    /// # Errors
    /// They must not be added.
    fn expect(&mut self, _: &[(&Sa, &SaKeys)]) -> Result<(), LedgerError> {
        Ok(())
    }

    /// Adds an SA (`XFRM_MSG_NEWSA`).
    ///
    /// # Errors
    /// [`XfrmError::AddSa`]; `EEXIST` when there is one with this id.
    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError>;

    /// One SA (`XFRM_MSG_GETSA`); `None` when there is none with this id.
    ///
    /// # Errors
    /// [`XfrmError::ReadSa`] or [`XfrmError::Decode`].
    fn sa(&mut self, id: &SaId) -> Result<Option<ObservedSa>, XfrmError>;

    /// Changes an SA in place (`XFRM_MSG_UPDSA`): its sequence numbers go on. The kernel takes over limits,
    /// output mark, `if_id`, and the encapsulation of an SA that has one; all else stays.
    ///
    /// # Errors
    /// [`XfrmError::UpdateSa`]; `ESRCH` when there is none.
    fn update_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError>;

    /// Deletes an SA (`XFRM_MSG_DELSA`).
    ///
    /// # Errors
    /// [`XfrmError::DeleteSa`]; `ESRCH` when there is none.
    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError>;

    /// Adds a policy (`XFRM_MSG_NEWPOLICY`).
    ///
    /// # Errors
    /// [`XfrmError::AddPolicy`]; `EEXIST` when there is one with this id.
    fn add_policy(&mut self, policy: &Policy) -> Result<(), XfrmError>;

    /// Adds a policy or replaces the one with its id (`XFRM_MSG_UPDPOLICY`).
    ///
    /// # Errors
    /// [`XfrmError::UpdatePolicy`].
    fn update_policy(&mut self, policy: &Policy) -> Result<(), XfrmError>;

    /// Deletes a policy (`XFRM_MSG_DELPOLICY`).
    ///
    /// # Errors
    /// [`XfrmError::DeletePolicy`]; `ENOENT` when there is none.
    fn delete_policy(&mut self, id: &PolicyId) -> Result<(), XfrmError>;

    /// Every link, XFRM interfaces with their addresses and routes (`RTM_GETLINK`, `RTM_GETADDR`, `RTM_GETROUTE`).
    ///
    /// # Errors
    /// [`XfrmError::Dump`] or [`XfrmError::Decode`].
    fn links(&mut self) -> Result<Vec<ObservedLink>, XfrmError>;

    /// Makes a link, up, or gives one an address or a route (`RTM_NEWLINK`, `RTM_NEWADDR`, `RTM_NEWROUTE`).
    ///
    /// # Errors
    /// [`XfrmError::Part`]; `EEXIST` when there is one.
    fn add_part(&mut self, part: &Part) -> Result<(), XfrmError>;

    /// Sets the MTU of a link, and sets it up.
    ///
    /// # Errors
    /// [`XfrmError::Part`]; `ENODEV` when there is none.
    fn update_link(&mut self, link: &XfrmLink) -> Result<(), XfrmError>;

    /// Deletes a link with all that hangs on it, or an address or a route.
    ///
    /// # Errors
    /// [`XfrmError::Part`]; `ENODEV`, `EADDRNOTAVAIL` or `ESRCH` when there is none.
    fn delete_part(&mut self, part: &Part) -> Result<(), XfrmError>;

    /// Empty databases of the same kernel in a network namespace of their own, to try things in.
    ///
    /// # Errors
    /// A namespace takes `CAP_SYS_ADMIN`.
    fn apart(&self) -> io::Result<Box<dyn Xfrm>>;

    /// What becomes of packets that no policy matches (`XFRM_MSG_GETDEFAULT`); `None` before Linux 5.15.
    ///
    /// # Errors
    /// [`XfrmError::DefaultPolicy`] or [`XfrmError::Decode`].
    fn default_policy(&mut self) -> Result<Option<DefaultPolicy>, XfrmError>;

    /// Decides about packets that no policy matches (`XFRM_MSG_SETDEFAULT`).
    ///
    /// # Errors
    /// [`XfrmError::DefaultPolicy`].
    fn set_default_policy(&mut self, policy: DefaultPolicy) -> Result<(), XfrmError>;
}
