//! The ring of dropped packets. Whoever reads it takes them out, so that one reads at a time.

use super::{
    DatapathError,
    maps::{on, open},
    pins::Pins,
};
use aya::maps::{MapData, RingBuf};
use esp_common::{Sample, names};
use std::fs::{File, TryLockError};

/// The reader of the ring.
pub struct Samples {
    ring: RingBuf<MapData>,
    _lock: File,
}

impl Samples {
    /// Opens the ring under `pins`; `None` while another process reads it. The lock is on the directory of the pins.
    ///
    /// Errors: the map is not there or cannot be mapped.
    pub fn open(pins: &Pins) -> Result<Option<Self>, DatapathError> {
        let name = names::MAP_SAMPLES;
        let failed = |source: std::io::Error| on("lock", name)(aya::maps::MapError::IoError(source));
        let lock = File::open(pins.dir()).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { ring: open(pins, name)?, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Takes the oldest out.
    pub fn take(&mut self) -> Option<Sample> {
        loop {
            let item = self.ring.next()?;
            // A record of another length would be of another version, and pins have one.
            if let Ok(sample) = bytemuck::try_pod_read_unaligned(&item) {
                return Some(sample);
            }
        }
    }
}
