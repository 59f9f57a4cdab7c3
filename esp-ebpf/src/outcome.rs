//! What the inspection of a packet found.

use esp_common::Reason;

/// The reason, and the policy behind it where there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Why.
    pub reason: Reason,
    /// The kernel's index of the policy that was broken; 0 is none.
    pub policy: u32,
}

impl From<Reason> for Outcome {
    #[inline(always)] // two registers
    fn from(reason: Reason) -> Self {
        Self { reason, policy: 0 }
    }
}
