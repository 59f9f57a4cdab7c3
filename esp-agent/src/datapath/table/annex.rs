//! What stands beside the table: the stash, the map of flows, the kernel's grace period.

use crate::datapath::{DatapathError, grace, maps::on};
use crate::steer::Steering;
use aya::maps::{HashMap, MapData, MapError, PerCpuHashMap, PerCpuValues};
use esp_common::{FlowCounter, FlowKey, SeenKey, lane::Lane, names};

/// The seam to it.
pub trait Annex {
    /// Puts an SA into the stash.
    ///
    /// Errors: the map cannot be written. It has room for all SAs.
    fn stash(&mut self, key: &FlowKey, slot: u32) -> Result<(), DatapathError>;

    /// Takes an SA out of the stash.
    ///
    /// Errors: the map cannot be written.
    fn unstash(&mut self, key: &FlowKey) -> Result<(), DatapathError>;

    /// All that is in the stash.
    ///
    /// Errors: the map cannot be read.
    fn stashed(&self) -> Result<Vec<(FlowKey, u32)>, DatapathError>;

    /// Writes rows into the map of flows; those that find no room are left out, as the datapath leaves them out.
    ///
    /// Errors: the map cannot be written.
    fn keep(&mut self, rows: &[(SeenKey, FlowCounter)]) -> Result<(), DatapathError>;

    /// True when the map of flows has this row.
    ///
    /// Errors: the map cannot be read.
    fn is_kept(&self, key: &SeenKey) -> Result<bool, DatapathError>;

    /// The CPU of an SA that gets a slot; `found` is what the slot has, where the SA was in it before.
    fn lane(&mut self, key: &FlowKey, slot: u32, found: Lane) -> Lane;

    /// Returns when every packet has ended that was in the datapath at the call.
    fn grace(&self);
}

/// The maps.
pub struct Beside<'a> {
    /// The stash.
    pub sas: &'a mut HashMap<MapData, FlowKey, u32>,
    /// The map of flows.
    pub flows: &'a mut PerCpuHashMap<MapData, SeenKey, FlowCounter>,
    /// Who says which CPU an SA has.
    pub steering: &'a mut Steering,
}

impl Annex for Beside<'_> {
    fn stash(&mut self, key: &FlowKey, slot: u32) -> Result<(), DatapathError> {
        self.sas.insert(key, slot, 0).map_err(on("write", names::MAP_SAS))
    }

    fn unstash(&mut self, key: &FlowKey) -> Result<(), DatapathError> {
        match self.sas.remove(key) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(source) => Err(on("remove from", names::MAP_SAS)(source)),
        }
    }

    fn stashed(&self) -> Result<Vec<(FlowKey, u32)>, DatapathError> {
        self.sas.iter().collect::<Result<_, _>>().map_err(on("read", names::MAP_SAS))
    }

    fn keep(&mut self, rows: &[(SeenKey, FlowCounter)]) -> Result<(), DatapathError> {
        let cpus = aya::util::nr_cpus()
            .map_err(|(_, error)| on("write", names::MAP_FLOWS)(MapError::IoError(error)))?;
        for (key, seen) in rows {
            let mut values = vec![FlowCounter::NOTHING; cpus];
            values.iter_mut().take(1).for_each(|value| *value = *seen);
            let values = PerCpuValues::try_from(values)
                .map_err(|error| on("write", names::MAP_FLOWS)(MapError::IoError(error)))?;
            match self.flows.insert(key, values, 0) {
                Err(source) if !is_full(&source) => return Err(on("write", names::MAP_FLOWS)(source)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn is_kept(&self, key: &SeenKey) -> Result<bool, DatapathError> {
        match self.flows.get(key, 0) {
            Ok(_) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(source) => Err(on("read", names::MAP_FLOWS)(source)),
        }
    }

    fn lane(&mut self, key: &FlowKey, slot: u32, found: Lane) -> Lane {
        self.steering.seat(key, slot, found.cpu()).map_or(Lane::HERE, Lane::of)
    }

    fn grace(&self) {
        grace::wait();
    }
}

/// `E2BIG`: a hash map without preallocation at its limit (kernel/bpf/hashtab.c).
pub(in crate::datapath) fn is_full(error: &MapError) -> bool {
    let MapError::SyscallError(error) = error else {
        return false;
    };
    error.io_error.raw_os_error() == Some(libc::E2BIG)
}
