//! The Security Parameters Index.

use bytemuck::{Pod, Zeroable};

/// Security Parameters Index (RFC 4303 section 2.1), stored as it is on the wire.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Pod, Zeroable)]
pub struct Spi([u8; 4]);

impl Spi {
    /// From the number that operators write, such as `0x69427567`.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number.to_be_bytes())
    }

    /// From the four bytes of the wire.
    #[must_use]
    pub const fn from_wire(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The number that operators write.
    #[must_use]
    pub const fn number(self) -> u32 {
        u32::from_be_bytes(self.0)
    }

    /// The four bytes of the wire.
    #[must_use]
    pub const fn wire(self) -> [u8; 4] {
        self.0
    }

    /// SPI 0: never on the wire (RFC 4303 section 2.1).
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.number() == 0
    }

    /// SPI 1 to 255: reserved by IANA (RFC 4303 section 2.1).
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        matches!(self.number(), 1..=255)
    }
}

impl core::fmt::Display for Spi {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "0x{:08x}", self.number())
    }
}

impl core::fmt::Debug for Spi {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

const _: () = assert!(size_of::<Spi>() == 4 && align_of::<Spi>() == 1);
