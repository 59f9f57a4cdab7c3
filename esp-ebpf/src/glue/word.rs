//! Words at any place of a packet, by one instruction each: LLVM takes words of unknown alignment byte by byte.

/// One load instruction.
macro_rules! load {
    ($size:literal, $at:expr) => {{
        let value: u64;
        core::arch::asm!(
            concat!("{0} = *(", $size, " *)({1} + 0)"),
            lateout(reg) value,
            in(reg) $at,
            options(pure, readonly, nostack, preserves_flags)
        );
        value
    }};
}
pub(super) use load;

/// One store instruction.
macro_rules! store {
    ($size:literal, $at:expr, $value:expr) => {
        core::arch::asm!(
            concat!("*(", $size, " *)({0} + 0) = {1}"),
            in(reg) $at,
            in(reg) $value,
            options(nostack, preserves_flags)
        )
    };
}
pub(super) use store;
