//! What happens to a packet.

/// The verdict on a packet; the number is part of the index of the reason counters.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Goes on to the stack (or out).
    Pass = 0,
    /// Ends here.
    Drop = 1,
    /// Was handed to another CPU or interface.
    Redirect = 2,
}

impl Action {
    /// All actions, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Pass, Self::Drop, Self::Redirect];

    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::Redirect => "redirect",
        }
    }
}
