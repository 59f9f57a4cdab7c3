//! What server-b sends, held on the router, for a test to deliver to server-a: which of it, how often and in what order.

use super::{Lab, Outer};
use crate::{agent::PATIENCE, link::mac, wire::Wire};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

/// The held frames of one SA, by their sequence numbers.
#[derive(Debug)]
pub struct Tap {
    far: Wire,
    near: Wire,
    spi: u32,
    frames: BTreeMap<u32, Vec<u8>>,
}

/// ESP in IPv4 without options, behind an Ethernet header.
const ESP: usize = 14 + 20;

impl Tap {
    /// From here on the router forwards nothing. Holds ESP over IPv4 of this SPI.
    ///
    /// # Errors
    /// When the router's interfaces are gone.
    pub fn new(lab: &Lab, spi: u32) -> Result<Self> {
        lab.router.sysctl("net.ipv4.ip_forward", "0")?;
        let (far, near) = (Wire::open(&lab.router, "eth6")?, Wire::open(&lab.router, "eth5")?);
        Ok(Self { far, near, spi, frames: BTreeMap::new() })
    }

    /// Holds the next frame: its sequence number.
    ///
    /// # Errors
    /// When none comes.
    pub fn hold(&mut self) -> Result<u32> {
        let ours = |frame: &[u8]| frame.get(23) == Some(&50) && word(frame, ESP) == Some(self.spi);
        let mut frame = self.far.receive(PATIENCE, ours)?.context("no ESP of the SA came to the router")?;
        let number = word(&frame, ESP + 4).context("a short frame")?;
        frame[..6].copy_from_slice(&mac(Outer::V4.server_a()));
        ensure!(self.frames.insert(number, frame).is_none(), "the number {number} came twice");
        Ok(number)
    }

    /// Delivers the frame with this number.
    ///
    /// # Errors
    /// When it is not held.
    pub fn deliver(&self, number: u32) -> Result<()> {
        self.near.send(self.frames.get(&number).with_context(|| format!("no frame {number}"))?)
    }
}

fn word(frame: &[u8], at: usize) -> Option<u32> {
    frame.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}
