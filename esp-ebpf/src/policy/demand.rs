//! Whether policies demand protection of a packet in the clear.

use esp_common::Rule;

/// What a search of one direction found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// No rule.
    Nothing,
    /// The kernel's index of the policy.
    Protect(u32),
    /// Passes in the clear, or is the kernel's to drop.
    Excused,
}

impl Found {
    /// Of verdict and policy of the first rule.
    #[inline(always)] // a match on two registers
    #[must_use]
    pub fn of(rule: Option<(u8, u32)>) -> Self {
        match rule {
            None => Self::Nothing,
            Some((verdict, policy)) if Rule::protects(verdict) => Self::Protect(policy),
            Some(_) => Self::Excused,
        }
    }
}

/// The policy that demands protection, of two directions that the packet may take.
///
/// TC does not know yet whether a packet will be delivered here (`in`) or forwarded (`fwd`): it must have been protected
/// when one of the two says so and the other does not let it pass in the clear. What leaves has one direction: the other
/// finds nothing.
#[inline(always)] // a match on two registers
#[must_use]
pub const fn demands(forward: Found, here: Found) -> Option<u32> {
    match (forward, here) {
        (Found::Protect(policy), Found::Protect(_) | Found::Nothing)
        | (Found::Nothing, Found::Protect(policy)) => Some(policy),
        (Found::Excused, _) | (_, Found::Excused) | (Found::Nothing, Found::Nothing) => None,
    }
}
