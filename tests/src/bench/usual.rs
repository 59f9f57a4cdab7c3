//! The usual design, `esp-ebpf/src/usual.rs`, loaded: the kernel's hash map, counters for each CPU, totals.

use super::{
    object,
    path::{FIRST_SPI, LOCAL_V4},
    vary::loaded,
};
use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::{HashMap, MapData, PerCpuArray},
    programs::Xdp,
};
use esp_common::{Counter, FlowKey, Spi};
use std::net::IpAddr;

const PROGRAM: &str = "esp_usual";

/// The object.
pub(super) struct Usual(Ebpf);

impl Usual {
    /// Loads it, with so many SAs from [`FIRST_SPI`] on and no room for more, which its hash map is sized by.
    ///
    /// # Errors
    /// It was not built, or the kernel does not take it.
    pub(super) fn load(sas: u32) -> Result<Self> {
        let object = object::read("esp-usual")?;
        let mut ebpf = EbpfLoader::new()
            .map_max_entries("USUAL_SAS", sas)
            .map_max_entries("USUAL_COUNTERS", sas)
            .load(&object)
            .context("failed to load the usual design")?;
        let program: &mut Xdp = ebpf.program_mut(PROGRAM).context("no such program")?.try_into()?;
        program.load().with_context(|| format!("failed to load {PROGRAM}"))?;
        let map = ebpf.map_mut("USUAL_SAS").context("no such map")?;
        let mut map = HashMap::<&mut MapData, FlowKey, [u32; 4]>::try_from(map)?;
        for index in 0..sas {
            let key = FlowKey::new(IpAddr::from(LOCAL_V4).into(), Spi::new(FIRST_SPI + index));
            map.insert(key, [index, 0, 0, 0], 0)?;
        }
        Ok(Self(ebpf))
    }

    /// Packets that it counted, with an SA and without one.
    ///
    /// # Errors
    /// The map cannot be read.
    pub(super) fn counted(&self) -> Result<[u64; 2]> {
        let map = self.0.map("USUAL_TOTALS").context("no such map")?;
        let map = PerCpuArray::<&MapData, Counter>::try_from(map)?;
        let sum =
            |index| -> Result<u64> { Ok(map.get(&index, 0)?.iter().map(|counter| counter.packets).sum()) };
        Ok([sum(0)?, sum(1)?])
    }

    /// Its program.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn program(&self) -> Result<&Xdp> {
        loaded(&self.0, PROGRAM)
    }
}
