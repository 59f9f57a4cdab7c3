//! What the inspection of a packet found.

use crate::parse::Ip;
use esp_common::Reason;

/// The reason, and the policy behind it where there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Why.
    pub reason: Reason,
    /// The kernel's index of the policy that was broken; 0 is none.
    pub policy: u32,
    /// The packet's headers, where they were read.
    pub ip: Option<Ip>,
    /// Where its SA stands in the table, plus one; 0 is none that may have it decrypted.
    pub place: u32,
}

impl Outcome {
    /// The same, of a packet with these headers.
    #[inline(always)] // no copy: the headers are in registers
    #[must_use]
    pub const fn of(self, ip: &Ip) -> Self {
        Self { ip: Some(*ip), ..self }
    }

    /// ESP of the SA in this slot of the table.
    #[inline(always)] // two registers
    #[must_use]
    pub const fn known(slot: u32) -> Self {
        Self { reason: Reason::EspKnown, policy: 0, ip: None, place: slot.wrapping_add(1) }
    }

    /// Where its SA stands in the table.
    #[inline(always)] // a compare
    #[must_use]
    pub const fn slot(&self) -> Option<u32> {
        self.place.checked_sub(1)
    }
}

impl From<Reason> for Outcome {
    #[inline(always)] // two registers
    fn from(reason: Reason) -> Self {
        Self { reason, policy: 0, ip: None, place: 0 }
    }
}
