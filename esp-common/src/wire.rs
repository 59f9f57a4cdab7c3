//! What ESP looks like on this network.

use bytemuck::{Pod, Zeroable};

/// Ports at most.
pub const PORTS: usize = 4;
/// SPIs of ESP echo at most.
pub const PINGS: usize = 4;

/// Ports and SPIs that mean something, part of [`crate::Settings`].
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct Wire {
    /// UDP ports of ESP (RFC 3948), native-endian; each entry holds one, some of them twice.
    pub natt_ports: [u16; PORTS],
    /// Reserved SPIs (1 to 255) of ESP echo; 0 is none.
    pub ping_spis: [u8; PINGS],
    /// Zero.
    pub pad: [u8; 4],
}

impl Wire {
    /// The port of RFC 3948.
    pub const NATT: u16 = 4500;

    /// True for a port that ESP in UDP goes to.
    #[inline(always)] // four compares
    #[must_use]
    pub const fn is_natt(&self, port: u16) -> bool {
        let [a, b, c, d] = self.natt_ports;
        port == a || port == b || port == c || port == d
    }

    /// True for a reserved SPI that asks for, or is, an echo.
    #[inline(always)] // as above
    #[must_use]
    pub const fn is_ping(&self, spi: u32) -> bool {
        let [a, b, c, d] = self.ping_spis;
        spi != 0 && (spi == a as u32 || spi == b as u32 || spi == c as u32 || spi == d as u32)
    }
}

impl Default for Wire {
    fn default() -> Self {
        Self { natt_ports: [Self::NATT; PORTS], ping_spis: [0; PINGS], pad: [0; 4] }
    }
}

const _: () = assert!(size_of::<Wire>() == 16);
