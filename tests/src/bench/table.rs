//! The maps as a path wants them.

use super::path::{FIRST_SPI, LOCAL_V4, LOCAL_V6, Path};
use crate::kernel::Kernel;
use anyhow::{Result, bail};
use aya::maps::{HashMap, Map, MapData};
use esp_common::{ABI_VERSION, Addr, FlowKey, Mode, SaEntry, Settings, Spi, names};
use std::net::IpAddr;

/// Everything on: all guards enforce, and the picture is trusted for ever.
///
/// # Errors
/// A map cannot be written.
pub(super) fn arm(kernel: &mut Kernel) -> Result<()> {
    let modes = [Mode::Enforce.as_raw(); 4];
    let settings = Settings { abi: ABI_VERSION, synced: 1, lease_ns: u64::MAX, modes, ..Settings::default() };
    kernel.set(names::MAP_SETTINGS, 0, settings)?;
    for local in [IpAddr::from(LOCAL_V4), IpAddr::from(LOCAL_V6)] {
        kernel.insert(names::MAP_LOCALS, Addr::from(local), 1_u32)?;
    }
    Ok(())
}

/// The table of SAs, by a handle of its own.
pub(super) struct Table {
    sas: HashMap<MapData, FlowKey, SaEntry>,
    held: Vec<FlowKey>,
}

impl Table {
    /// # Errors
    /// The map is not there.
    pub(super) fn open(kernel: &Kernel) -> Result<Self> {
        let Some(Map::HashMap(data)) = kernel.ebpf().map(names::MAP_SAS) else {
            bail!("the object has no hash map {}", names::MAP_SAS);
        };
        let map = Map::from_map_data(MapData::from_id(data.info()?.id())?)?;
        Ok(Self { sas: HashMap::try_from(map)?, held: Vec::new() })
    }

    /// Puts the SAs of `path` in the place of those that are there. All are of one tunnel, so that it is counted too.
    ///
    /// # Errors
    /// The map cannot be written.
    pub(super) fn fill(&mut self, path: &Path) -> Result<()> {
        for key in self.held.drain(..) {
            self.sas.remove(&key)?;
        }
        for spi in (FIRST_SPI..).take(path.sas as usize) {
            let key = FlowKey::new(path.dst.into(), Spi::new(spi));
            self.sas.insert(key, SaEntry { tunnel: 1, flags: 0 }, 0)?;
            self.held.push(key);
        }
        Ok(())
    }
}
