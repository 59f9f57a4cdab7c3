//! The datapath with so many SAs, and a driver that gives each packet one of their SPIs.

use super::{
    XDP_DROP, XDP_PASS,
    path::{self, FIRST_SPI, SPI_V4},
    table,
    vary::{Spis, Varied},
};
use crate::kernel::{Constants, Kernel};
use anyhow::Result;
use esp_agent::config::Sizes;
use esp_common::names;

/// Both.
pub(super) struct Stand {
    /// The datapath.
    pub(super) kernel: Kernel,
    known: Varied,
    empty: Varied,
    frame: Vec<u8>,
}

impl Stand {
    /// Loads it, with room for `room` SAs more.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn new(sas: u32, room: u32) -> Result<Self> {
        let mut kernel = Kernel::sized(Constants::default(), &Sizes { sas: sas + room, ..Sizes::default() })?;
        table::arm(&mut kernel)?;
        table::sas(&mut kernel, sas)?;
        let spis = Spis { base: FIRST_SPI, count: sas };
        let known = Varied::new(kernel.xdp(names::PROG_XDP)?, spis, SPI_V4)?;
        let empty = Varied::new(kernel.xdp(names::PROG_EMPTY)?, spis, SPI_V4)?;
        Ok(Self { kernel, known, empty, frame: path::esp() })
    }

    /// ns of a packet with an SA.
    ///
    /// # Errors
    /// The kernel's; it did not pass.
    pub(super) fn known(&self, packets: u32) -> Result<f64> {
        self.known.run(&self.frame, packets, XDP_PASS)
    }

    /// ns of the same through an empty program.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn empty(&self, packets: u32) -> Result<f64> {
        self.empty.run(&self.frame, packets, XDP_PASS)
    }

    /// A driver of packets that no SA has, in front of one of the programs.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn flood(&self, program: &str, spis: Spis) -> Result<Varied> {
        Varied::new(self.kernel.xdp(program)?, spis, SPI_V4)
    }

    /// Runs such packets. `dropped` is what the last of them must be.
    ///
    /// # Errors
    /// The kernel's; another verdict.
    pub(super) fn pour(&self, flood: &Varied, packets: u32, dropped: bool) -> Result<()> {
        flood.run(&self.frame, packets, if dropped { XDP_DROP } else { XDP_PASS }).map(drop)
    }
}
