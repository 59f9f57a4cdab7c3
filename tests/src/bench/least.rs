//! The least that a program can do in the place of ours: `esp-ebpf/src/least.rs`, loaded.

use super::{object, vary::loaded};
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::xdp::DevMap,
    programs::{Xdp, XdpMode},
};

/// Drops.
pub(super) const DROP: &str = "esp_drop";
/// Passes.
pub(super) const PASS: &str = "esp_pass";
/// Parses.
pub(super) const PARSE: &str = "esp_parse";
/// Exchanges MAC addresses and sends on.
pub(super) const SWAP: &str = "esp_swap";
/// The same, the kernel's route asked before.
pub(super) const ROUTE: &str = "esp_route";

/// The object.
pub(super) struct Least(Ebpf);

impl Least {
    /// Loads all of it.
    ///
    /// # Errors
    /// It was not built, or the kernel does not take it.
    pub(super) fn load() -> Result<Self> {
        let object = object::read("esp-least")?;
        let mut ebpf = EbpfLoader::new().load(&object).context("failed to load the floors")?;
        for name in [DROP, PASS, PARSE, SWAP, ROUTE] {
            let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("failed to load {name}"))?;
        }
        Ok(Self(ebpf))
    }

    /// One of the programs.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn program(&self, name: &str) -> Result<&Xdp> {
        loaded(&self.0, name)
    }

    /// Puts one of them on an interface of this thread's namespace, in the driver. It goes with this.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn attach(&mut self, name: &str, iface: &str) -> Result<()> {
        let program: &mut Xdp = self.0.program_mut(name).context("no such program")?.try_into()?;
        let attached = program.attach(iface, XdpMode::Driver);
        attached.map(drop).with_context(|| format!("failed to attach to {iface}"))
    }

    /// Where [`SWAP`] and [`ROUTE`] send to: an interface of this thread's namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn port(&mut self, ifindex: u32) -> Result<()> {
        let map = self.0.map_mut("LEAST_PORT").context("no such map")?;
        Ok(DevMap::try_from(map)?.set(0, ifindex, None, 0)?)
    }
}
