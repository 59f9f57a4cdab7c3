//! The seam to words that several CPUs change at once.

/// Atomic instructions on a few words, without an order among them.
pub trait Words: Copy {
    /// The word.
    fn load(self, at: usize) -> u64;

    /// Replaces it.
    fn store(self, at: usize, value: u64);

    /// Adds to it.
    fn add(self, at: usize, more: u64);

    /// Replaces `old`, and nothing else, by `fresh`; whether it was there.
    fn swap(self, at: usize, old: u64, fresh: u64) -> bool;
}
