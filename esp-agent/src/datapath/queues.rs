//! Queues of CPUs that packets are handed to, and what went through them.

use super::{
    DatapathError, cpus,
    maps::{on, open},
    pins::Pins,
};
use aya::{
    maps::{
        MapData, MapError, PerCpuArray,
        xdp::{CpuMap, XdpMapError},
    },
    programs::ProgramFd,
};
use esp_common::{lane, names};
use std::collections::BTreeMap;
use std::io;

/// Two for each CPU: for frames of one buffer, and of several.
pub struct Queues {
    plain: CpuMap<MapData>,
    frags: CpuMap<MapData>,
    handed: PerCpuArray<MapData, u64>,
    refused: PerCpuArray<MapData, u64>,
    arrived: PerCpuArray<MapData, u64>,
}

/// Frames of one buffer, and of several.
const KINDS: [u32; 2] = [0, FRAGS];
const FRAGS: u32 = 1;

/// What went through a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// Packets that were handed to it.
    pub handed: u64,
    /// Packets that it had no room for.
    pub refused: u64,
    /// Packets that came out of it.
    pub arrived: u64,
}

impl Passed {
    /// Packets that were handed over and did not come out here. Those of other CPUs may have come out here: then it may be
    /// less than none (see [`crate::steer::Astray`]).
    #[must_use]
    pub const fn open(&self) -> i64 {
        self.handed.wrapping_sub(self.arrived).wrapping_sub(self.refused).cast_signed()
    }
}

impl std::ops::Add for Passed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            handed: self.handed + other.handed,
            refused: self.refused + other.refused,
            arrived: self.arrived + other.arrived,
        }
    }
}

impl Queues {
    pub(super) fn open(pins: &Pins) -> Result<Self, DatapathError> {
        Ok(Self {
            plain: open(pins, names::MAP_CPUS)?,
            frags: open(pins, names::MAP_CPUS_FRAGS)?,
            handed: open(pins, names::MAP_HANDED)?,
            refused: open(pins, names::MAP_REFUSED)?,
            arrived: open(pins, names::MAP_ARRIVED)?,
        })
    }

    /// CPUs with queues, and how many packets one of them holds.
    ///
    /// Errors: a map cannot be read.
    pub fn list(&self) -> Result<Vec<(u32, u32)>, DatapathError> {
        let mut list = Vec::new();
        for cpu in 0..self.plain.len() {
            list.extend(self.size(cpu)?.map(|size| (cpu, size)));
        }
        Ok(list)
    }

    /// Gives a CPU its queues, with the programs that run behind them. Those that are there stay as they are: in new ones
    /// packets would overtake those in the old.
    ///
    /// Errors: there is no such CPU, or no memory.
    pub fn add(&mut self, cpu: u32, size: u32, programs: [&ProgramFd; 2]) -> Result<(), DatapathError> {
        if self.size(cpu)?.is_some() {
            return Ok(());
        }
        let [plain, frags] = programs;
        // The second map first: who finds the first finds both.
        self.frags.set(cpu, size, Some(frags), 0).map_err(failed(names::MAP_CPUS_FRAGS))?;
        self.plain.set(cpu, size, Some(plain), 0).map_err(failed(names::MAP_CPUS))
    }

    /// Takes them away. What they hold is still received.
    ///
    /// Errors: a map cannot be written.
    pub fn remove(&mut self, cpu: u32) -> Result<(), DatapathError> {
        // A size of 0 is none (`cpu_map_update_elem`).
        self.plain.set(cpu, 0, None, 0).map_err(failed(names::MAP_CPUS))?;
        self.frags.set(cpu, 0, None, 0).map_err(failed(names::MAP_CPUS_FRAGS))
    }

    /// What went through the two queues of each CPU, also of those that have none any more.
    ///
    /// Errors: a map cannot be read.
    pub fn passed(&self) -> Result<BTreeMap<u32, [Passed; 2]>, DatapathError> {
        let possible = cpus::possible()?.into_iter();
        let mut all: BTreeMap<_, [Passed; 2]> = possible.map(|cpu| (cpu, Default::default())).collect();
        // In this order: what comes out was handed before.
        for kind in KINDS {
            let arrived = self.arrived.get(&kind, 0).map_err(on("read", names::MAP_ARRIVED))?;
            for (row, arrived) in all.values_mut().zip(arrived.iter()) {
                row[kind as usize].arrived = *arrived;
            }
        }
        let sum = |map: &PerCpuArray<MapData, u64>, name, cpu, kind| {
            let values = map.get(&lane::queue(cpu, kind == FRAGS), 0).map_err(on("read", name))?;
            Ok(values.iter().sum::<u64>())
        };
        for (cpu, row) in all.range_mut(..self.plain.len()) {
            for kind in KINDS {
                row[kind as usize].refused = sum(&self.refused, names::MAP_REFUSED, *cpu, kind)?;
            }
        }
        for (cpu, row) in all.range_mut(..self.plain.len()) {
            for kind in KINDS {
                row[kind as usize].handed = sum(&self.handed, names::MAP_HANDED, *cpu, kind)?;
            }
        }
        Ok(all)
    }

    fn size(&self, cpu: u32) -> Result<Option<u32>, DatapathError> {
        match self.plain.get(cpu, 0) {
            Ok(value) => Ok(Some(value.queue_size)),
            Err(MapError::KeyNotFound | MapError::OutOfBounds { .. }) => Ok(None),
            Err(source) => Err(on("read", names::MAP_CPUS)(source)),
        }
    }
}

fn failed(name: &'static str) -> impl Fn(XdpMapError) -> DatapathError {
    move |error| {
        on("write", name)(match error {
            XdpMapError::MapError(source) => source,
            other @ XdpMapError::ChainedProgramNotSupported => MapError::IoError(io::Error::other(other)),
        })
    }
}
