//! Where in the kernel a packet was seen.

/// The attachment point; the number is part of the index of the reason counters.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    /// XDP, before the stack.
    Xdp = 0,
    /// TC ingress (TCX or clsact).
    TcIngress = 1,
    /// TC egress (TCX or clsact).
    TcEgress = 2,
}

impl Hook {
    /// All hooks, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Xdp, Self::TcIngress, Self::TcEgress];

    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Xdp => "xdp",
            Self::TcIngress => "tc_ingress",
            Self::TcEgress => "tc_egress",
        }
    }
}
