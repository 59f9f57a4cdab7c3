//! Answers that each CPU keeps, at the place of a hash: what comes to one that is taken replaces it.

/// How many of a kind, a power of two.
pub(super) const KEPT: u32 = 64;

/// The place of what has these words together.
#[inline(always)] // a multiplication
pub(super) const fn place(words: u64) -> u32 {
    (words.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 % KEPT
}
