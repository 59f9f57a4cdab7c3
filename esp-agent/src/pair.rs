//! The files of both gateways of one tunnel, made together so that they fit: what one sends with, the other
//! receives with.

mod files;
mod text;

pub use files::{Files, write};
pub use text::{Side, Site, gateway, rotation};

use crate::keys::fresh;
use crate::keys::suite::Suite;
use crate::secret::Secret;
use esp_common::Spi;
use std::io;

/// SPI and keys of one direction, in the order of [`Suite::slots`].
pub struct Way {
    spi: Spi,
    keys: Vec<Secret>,
}

/// Both directions, named for the gateway that they lead to.
pub struct Ways {
    /// What the left gateway receives with.
    pub to_left: Way,
    /// What the right gateway receives with.
    pub to_right: Way,
}

impl Ways {
    /// Fresh ones.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn fresh(suite: Suite) -> io::Result<Self> {
        let [left, right] = fresh::spis()?;
        Ok(Self { to_left: Way::fresh(suite, left)?, to_right: Way::fresh(suite, right)? })
    }
}

impl Way {
    fn fresh(suite: Suite, spi: Spi) -> io::Result<Self> {
        let keys = suite.slots().iter().map(|slot| fresh::key(slot.bytes)).collect::<io::Result<_>>()?;
        Ok(Self { spi, keys })
    }
}
