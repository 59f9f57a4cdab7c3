//! What the engine writes and a scrape reads.

use crate::collect;
use crate::datapath::{maps::Maps, pins::Pins};
use crate::metrics::serve::Source;
use crate::picture::Picture;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::state::State;
use esp_common::Spi;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Picture and state of the running agent.
#[derive(Clone, Default)]
pub struct Shared {
    picture: Arc<Mutex<Picture>>,
    state: Arc<Mutex<State>>,
}

impl Shared {
    /// The picture. A panic elsewhere does not make it wrong: every change of it is one call.
    pub fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what an earlier agent left: names of flows, tombstones.
    pub fn remember(&self, left: State) {
        let named = left.tunnels.into_iter().map(|sa| (sa.dst, Spi::new(sa.spi), sa.tunnel));
        self.picture().remember(named, left.tombstones);
    }

    /// The state.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the maps for a scrape.
pub struct Scraper {
    maps: Maps,
    shared: Shared,
}

impl Scraper {
    /// Opens the maps.
    ///
    /// # Errors
    /// A map cannot be opened.
    pub fn new(pins: &Pins, shared: Shared) -> Result<Self, crate::datapath::DatapathError> {
        Ok(Self { maps: Maps::open(pins)?, shared })
    }
}

impl Source for Scraper {
    fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let state = {
            let mut state = self.shared.state();
            state.name(&mut self.shared.picture());
            state.clone()
        };
        let picture = self.shared.picture();
        collect::snapshot(&self.maps, &picture, &state, true)
            .map_err(|error| SnapshotError { what: "the maps".into(), source: error.into() })
    }
}
