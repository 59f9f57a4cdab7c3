//! What the clock asks for: lease, mirror, sweep.

use super::Engine;
use crate::failure::Failure;
use crate::{clock, mirror, sweep};

impl Engine {
    /// Writes the state file.
    pub fn beat(&mut self) {
        self.logs.iter_mut().for_each(|flush| flush());
        self.natt.beat(std::time::Instant::now());
        self.shared.state().udp = self.natt.rows();
        let mut state = self.shared.state();
        state.name(&mut self.shared.picture());
        let saved = state.save(&self.instance);
        drop(state);
        if let Err(error) = saved {
            tracing::warn!(
                "failed to write the state file of {}: {error}",
                self.instance.state_dir.display()
            );
        }
    }

    /// Copies xfrm_stat.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn mirror(&mut self) -> Result<(), Failure> {
        mirror::copy(self.filler.maps_mut())?;
        self.shared.state().mirror_ns = clock::monotonic_ns();
        Ok(())
    }

    pub(super) fn sweep(&mut self) -> Result<(), Failure> {
        let observed = self.observe()?;
        self.reconcile(observed)?;
        let mut picture = self.shared.picture();
        Ok(sweep::flows(&mut self.filler, &mut picture, clock::monotonic_ns())?)
    }
}
