//! The kernel's IPsec databases, the SAD and the SPD, over netlink.

pub mod model;

use model::{ObservedPolicy, ObservedSa, Policy, PolicyId, Sa, SaId, SaKeys};
use std::io;

/// The two databases of one network namespace.
pub trait Xfrm {
    /// All SAs.
    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError>;
    /// All policies.
    fn policies(&mut self) -> Result<Vec<ObservedPolicy>, XfrmError>;
    /// Adds an SA that must not be there yet.
    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError>;
    /// Deletes an SA.
    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError>;
    /// Adds a policy that must not be there yet.
    fn add_policy(&mut self, policy: &Policy) -> Result<(), XfrmError>;
    /// Replaces a policy of the same identity in one step.
    fn update_policy(&mut self, policy: &Policy) -> Result<(), XfrmError>;
    /// Deletes a policy.
    fn delete_policy(&mut self, id: &PolicyId) -> Result<(), XfrmError>;
}

/// What the kernel answered.
#[derive(Debug, thiserror::Error)]
pub enum XfrmError {
    /// A request was refused.
    #[error("failed to {what}: {source}")]
    Refused {
        /// The request.
        what: String,
        /// The kernel's error.
        source: io::Error,
    },
}

impl XfrmError {
    /// The kernel lacks a module or an algorithm.
    #[must_use]
    pub fn lacks(&self) -> bool {
        [libc::EPROTONOSUPPORT, libc::ENOSYS].contains(&self.errno())
    }

    /// Capabilities are missing.
    #[must_use]
    pub fn not_permitted(&self) -> bool {
        [libc::EPERM, libc::EACCES].contains(&self.errno())
    }

    /// The object is there already.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.errno() == libc::EEXIST
    }

    /// The object is not there.
    #[must_use]
    pub fn not_found(&self) -> bool {
        [libc::ESRCH, libc::ENOENT].contains(&self.errno())
    }

    fn errno(&self) -> i32 {
        match self {
            Self::Refused { source, .. } => source.raw_os_error().unwrap_or(0),
        }
    }
}
