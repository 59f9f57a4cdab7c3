//! The turns of one means.

use super::{
    lane::{Lane, Seen},
    means::Means,
};
use crate::bench::{cost::Cost, flood::Flood, vary::Spis};
use anyhow::{Result, ensure};

/// A cable, who sends into it, and what was seen.
pub(super) struct Turns {
    pub(super) lane: Lane,
    flood: Flood,
    seen: Vec<Seen>,
}

impl Turns {
    /// Makes the cable.
    ///
    /// # Errors
    /// As [`Lane::new`].
    pub(super) fn new(means: Means, spis: Spis, cpu: usize) -> Result<Self> {
        let lane = Lane::new(means, cpu)?;
        let flood = lane.flood(spis)?;
        Ok(Self { lane, flood, seen: Vec::new() })
    }

    /// One round.
    ///
    /// # Errors
    /// As [`Lane::run`].
    pub(super) fn turn(&mut self, packets: u32) -> Result<()> {
        self.seen.push(self.lane.run(&self.flood, packets)?);
        Ok(())
    }

    /// All that arrived was dropped for its SPI.
    ///
    /// # Errors
    /// It was not.
    pub(super) fn check(&self) -> Result<()> {
        let arrived: u64 = self.seen.iter().map(|seen| seen.packets).sum();
        let dropped = self.lane.dropped()?.unwrap_or(arrived);
        ensure!(dropped == arrived, "{arrived} packets arrived, {dropped} were dropped");
        Ok(())
    }

    /// CPU ns of a packet, by round; the first was for warmth alone.
    pub(super) fn cpu(&self) -> impl Iterator<Item = f64> {
        self.seen.iter().skip(1).map(|seen| seen.cpu_ns)
    }

    /// Packets for each second.
    pub(super) fn pps(&self) -> Cost {
        Cost::of(self.seen.iter().skip(1).map(|seen| seen.pps).collect())
    }
}
