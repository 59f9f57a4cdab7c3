//! Words that all CPUs share. Rust has no compare-and-swap for this target, its instruction set has (Linux 5.12).

use core::arch::asm;
use esp_datapath::Words;

/// `N` words of a map.
#[derive(Clone, Copy)]
pub(super) struct Shared<const N: usize>(*const u64);

impl<const N: usize> Shared<N> {
    /// # Safety
    /// So many words are there, on a boundary of eight bytes; all who write them while packets pass do so by atomic
    /// instructions.
    #[inline(always)] // a move
    pub(super) unsafe fn new(words: *const u64) -> Self {
        Self(words)
    }

    #[inline(always)] // the verifier follows the pointer
    fn word(self, at: usize) -> *mut u64 {
        // SAFETY: the remainder is below what `new` was promised.
        unsafe { self.0.cast_mut().add(at % N) }
    }
}

impl<const N: usize> Words for Shared<N> {
    #[inline(always)] // one load
    fn load(self, at: usize) -> u64 {
        // SAFETY: see `word`.
        unsafe { self.word(at).read_volatile() }
    }

    #[inline(always)] // one store
    fn store(self, at: usize, value: u64) {
        // SAFETY: see `word`.
        unsafe { self.word(at).write_volatile(value) }
    }

    #[inline(always)] // one instruction
    fn add(self, at: usize, more: u64) {
        // SAFETY: see `word`.
        unsafe {
            asm!("lock *(u64 *)({word} + 0) += {more}", word = in(reg) self.word(at), more = in(reg) more)
        }
    }

    #[inline(always)] // one instruction
    fn swap(self, at: usize, old: u64, fresh: u64) -> bool {
        let seen: u64;
        // SAFETY: see `word`.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {fresh})",
                word = in(reg) self.word(at), fresh = in(reg) fresh, inlateout("r0") old => seen,
            );
        }
        seen == old
    }
}
