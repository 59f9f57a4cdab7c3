//! What the operator asks for: a new configuration, or the end.

use super::Engine;
use crate::failure::Failure;
use crate::install;
use crate::natt::paths;
use crate::rotation::converge;

impl Engine {
    /// Takes a new configuration over, or keeps the old one and says why.
    pub(super) async fn reload(&mut self) {
        match self.try_reload().await {
            Ok(()) => {
                tracing::info!("configuration read again");
                self.shared.state().reloads_ok += 1;
            }
            Err(failure) => {
                tracing::error!("the new configuration was not taken, the old one stays in force: {failure}");
                self.shared.state().reloads_failed += 1;
            }
        }
        // Those that only the one not taken needed are closed.
        self.open_sockets();
    }

    pub(super) async fn try_reload(&mut self) -> Result<(), Failure> {
        let path = self.path.clone().ok_or(Failure::Usage("there is no configuration to read again"))?;
        let mut fresh = install::load(&path)?;
        if fresh.sizes != self.config.sizes {
            return Err(Failure::Usage("sizes in [maps] change with a restart only"));
        }
        if fresh.ifaces != self.config.ifaces || fresh.metrics != self.config.metrics {
            tracing::warn!("`interfaces` and `metrics` change with a restart only: those of the start stay");
        }
        self.natt.prepare(&paths(&fresh, &self.shared.picture().locals));
        let applied = self.rotations.take_over(&mut fresh);
        let observed = converge(&self.rotations, &mut fresh, &mut self.xfrm, &mut self.record)
            .inspect_err(|_| self.rotations.apply_as_before(applied))?;
        (self.rotation_behind, self.shared.state().rotations) = (false, self.rotations.rows());
        self.shared.picture().name(&fresh);
        self.config = fresh;
        self.drift_anew();
        self.take(observed)
    }

    /// What was learnt stays in the maps; without an agent nothing is dropped any more.
    pub(super) fn close(mut self) -> Result<(), Failure> {
        self.xfrm.close();
        self.filler.set(|settings| {
            settings.synced = 0;
            settings.lease_ns = 0;
        })?;
        let mut state = self.shared.state();
        state.in_sync = false;
        state.save(&self.instance).map_err(|error| Failure::Task("state file", error.into()))
    }
}
