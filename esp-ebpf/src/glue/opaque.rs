//! Values of which the compiler, or the verifier, shall know nothing.

use core::arch::asm;

/// In memory that could be written: the verifier cannot know the value.
static mut ZERO: u64 = 0;

/// The same value, as one that the compiler cannot work out again. LLVM would compare one sum and load from an equal second
/// one, which the verifier does not know to be checked; and it makes branches of comparisons by arithmetic.
#[inline(always)] // it is one move
pub(super) fn opaque(value: u64) -> u64 {
    let same: u64;
    // SAFETY: a move between registers. An empty statement would do, but gives two line records for one instruction,
    // which the kernel refuses.
    unsafe {
        asm!("{0} = {1}", lateout(reg) same, in(reg) value, options(pure, nomem, nostack, preserves_flags));
    }
    same
}

/// The same value, as one of which the verifier knows nothing: all ways that lead here become one for it.
#[inline(always)] // one load
pub(super) fn settled(value: u64) -> u64 {
    // SAFETY: a static of this object that nobody writes.
    value.wrapping_add(unsafe { (&raw const ZERO).read_volatile() })
}
