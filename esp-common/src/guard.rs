//! The four guards and their modes.

/// A rule that a packet can break.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Guard {
    /// ESP to one of our addresses whose SPI no SA has.
    UnknownSpi = 0,
    /// Clear text from outside that a PROTECT selector says must have been protected.
    CleartextIn = 1,
    /// Clear text on its way out that a PROTECT selector says must be protected.
    CleartextOut = 2,
    /// A decrypted packet outside the selectors of the policy for its SA (RFC 4301 section 5.2, step 4).
    Selectors = 3,
}

impl Guard {
    /// All guards, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::UnknownSpi, Self::CleartextIn, Self::CleartextOut, Self::Selectors];

    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }

    /// The guard of a number, if there is one.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::UnknownSpi),
            1 => Some(Self::CleartextIn),
            2 => Some(Self::CleartextOut),
            3 => Some(Self::Selectors),
            _ => None,
        }
    }

    /// The configuration key and metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::UnknownSpi => "unknown_spi",
            Self::CleartextIn => "cleartext_in",
            Self::CleartextOut => "cleartext_out",
            Self::Selectors => "selectors",
        }
    }
}

/// What a guard does with a packet that breaks its rule.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Mode {
    /// Nothing is looked up, the packet is not even counted as a hit.
    Off = 0,
    /// Counted, passed.
    #[default]
    Observe = 1,
    /// Counted, dropped.
    Enforce = 2,
}

impl Mode {
    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }

    /// The mode of a number. An unknown number reads as [`Mode::Observe`]: it counts and never drops.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Self {
        match raw {
            0 => Self::Off,
            2 => Self::Enforce,
            _ => Self::Observe,
        }
    }

    /// The configuration value and metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}
