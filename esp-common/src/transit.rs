//! ESP that crosses this host.

/// A MAC address as [`crate::names::GLOBAL_MAC`] has it: its bytes in their order, and two zero ones.
#[must_use]
pub const fn mac_word([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// Which of it is forwarded without the stack.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transit {
    /// None: the kernel forwards.
    #[default]
    Off = 0,
    /// All of it.
    All = 1,
    /// That of SAs in the table.
    Known = 2,
}

impl Transit {
    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }

    /// That of a number; an unknown one is off.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Self {
        match raw {
            1 => Self::All,
            2 => Self::Known,
            _ => Self::Off,
        }
    }
}
