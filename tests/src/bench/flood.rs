//! ESP without end into a cable, each packet with another SPI, as a driver hands frames over: no skb is made for the sender.

use super::vary::{self, Spis};
use crate::netns::Netns;
use anyhow::{Context as _, Result};
use aya::{Ebpf, maps::xdp::DevMap};
use nix::net::if_::if_nametoindex;

const DRIVER: &str = "esp_flood";

/// A sender at one end of a cable.
pub(super) struct Flood {
    ebpf: Ebpf,
    frame: Vec<u8>,
    ifindex: u32,
}

impl Flood {
    /// Frames like `frame`, the SPI at `offset`, out of `iface` of a namespace.
    ///
    /// # Errors
    /// There is no such interface, or the kernel does not take the driver.
    pub(super) fn new(sender: &Netns, iface: &str, spis: Spis, offset: u32, frame: Vec<u8>) -> Result<Self> {
        let mut ebpf = vary::load(DRIVER, spis, offset, false)?;
        // An index means the interface of the namespace that it is written in.
        let ifindex = sender.run_in(|| {
            let ifindex = if_nametoindex(iface).with_context(|| format!("no {iface}"))?;
            let cable = ebpf.map_mut("CABLE").context("no such map")?;
            DevMap::try_from(cable)?.set(0, ifindex, None, 0)?;
            Ok(ifindex)
        })?;
        Ok(Self { ebpf, frame, ifindex })
    }

    /// Sends so many, on a thread in the sender's namespace: ns of its CPU time for one.
    ///
    /// # Errors
    /// The kernel's (Linux 5.18).
    pub(super) fn send(&self, packets: u32) -> Result<f64> {
        vary::live(vary::loaded(&self.ebpf, DRIVER)?, &self.frame, self.ifindex, packets)
    }
}
