//! The maps as a path wants them.

use super::path::{FIRST_SPI, LOCAL_V4, LOCAL_V6, Path};
use crate::kernel::Kernel;
use anyhow::Result;
use esp_common::{ABI_VERSION, Addr, FlowKey, Mode, SaEntry, Settings, Spi, names};
use std::net::IpAddr;

/// Everything on: all guards enforce, and the picture is trusted for ever.
///
/// # Errors
/// A map cannot be written.
pub(super) fn arm(kernel: &mut Kernel) -> Result<()> {
    trust(kernel, true)?;
    for local in [IpAddr::from(LOCAL_V4), IpAddr::from(LOCAL_V6)] {
        kernel.insert(names::MAP_LOCALS, Addr::from(local), 1_u32)?;
    }
    Ok(())
}

/// The settings, by which the newest SA of this thread's namespace is known or not.
fn trust(kernel: &mut Kernel, knows_newest: bool) -> Result<()> {
    let modes = [Mode::Enforce.as_raw(); 4];
    let newest = kernel.newest()?.filter(|_| knows_newest).map(|sa| sa.newest).unwrap_or_default();
    kernel.set_settings(Settings {
        abi: ABI_VERSION,
        synced: 1,
        lease_ns: u64::MAX,
        modes,
        newest,
        ..Settings::default()
    })
}

/// So many SAs from [`FIRST_SPI`] on.
///
/// # Errors
/// The map cannot be written.
pub(super) fn sas(kernel: &mut Kernel, sas: u32) -> Result<()> {
    for spi in (FIRST_SPI..).take(sas as usize) {
        let key = FlowKey::new(IpAddr::from(LOCAL_V4).into(), Spi::new(spi));
        kernel.set_sa(&key, &SaEntry { tunnel: 1, flags: 0 })?;
    }
    Ok(())
}

/// The SAs that are in the table.
#[derive(Default)]
pub(super) struct Table {
    held: Vec<FlowKey>,
}

impl Table {
    /// Puts the SAs of `path` in the place of those that are there, and says whether the kernel is to be asked for others. All are
    /// of one tunnel, so that it is counted too.
    ///
    /// # Errors
    /// The map cannot be written.
    pub(super) fn fill(&mut self, kernel: &mut Kernel, path: &Path) -> Result<()> {
        trust(kernel, !path.asks)?;
        for key in self.held.drain(..) {
            kernel.remove_sa(&key)?;
        }
        for spi in (path.first..).take(path.sas as usize) {
            let key = FlowKey::new(path.dst.into(), Spi::new(spi));
            kernel.set_sa(&key, &SaEntry { tunnel: 1, flags: 0 })?;
            self.held.push(key);
        }
        Ok(())
    }
}
