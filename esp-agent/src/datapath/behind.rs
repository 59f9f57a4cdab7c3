//! The programs behind the queues of CPUs, and those that count what queues refuse.

use super::{
    DatapathError,
    load::{self, Constants},
    maps::on,
    pins::{Pins, pin},
};
use crate::config::Sizes;
use aya::{
    Ebpf,
    maps::MapInfo,
    programs::{ProgramError, ProgramFd, RawTracePoint, Xdp, links::FdLink},
};
use esp_common::names;

/// What stands in front of their names in the directory of links.
const PLACE: &str = "steer";

/// Where refusals are told, by program: see `programs/cpumap.rs`.
const TOLD: [(&str, &str); 2] =
    [(names::PROG_FULL, "xdp_cpumap_enqueue"), (names::PROG_REFUSED, "xdp_redirect_err")];

/// They are in the kernel while this, or a queue, holds them.
pub struct Behind(Ebpf);

impl Behind {
    /// Loads them.
    ///
    /// Errors: see [`DatapathError`].
    pub fn load(pins: &Pins, sizes: &Sizes) -> Result<Self, DatapathError> {
        let id = |name| MapInfo::from_pin(pins.map(name)).map(|info| info.id()).map_err(on("look at", name));
        let queue_ids = [id(names::MAP_CPUS)?, id(names::MAP_CPUS_FRAGS)?];
        let mut ebpf = load::loader(pins, sizes, Constants { queue_ids, ..Constants::default() })?;
        for name in [names::PROG_CPU, names::PROG_CPU_FRAGS] {
            let program = ebpf.program_mut(name).and_then(|program| <&mut Xdp>::try_from(program).ok());
            program.ok_or(DatapathError::NoProgram(name))?.load().map_err(refused(name))?;
        }
        Ok(Self(ebpf))
    }

    /// The programs for frames of one buffer and of several.
    ///
    /// Errors: [`DatapathError::NoProgram`].
    pub fn programs(&self) -> Result<[&ProgramFd; 2], DatapathError> {
        let program = |name| {
            let program = self.0.program(name).and_then(|program| <&Xdp>::try_from(program).ok());
            program.and_then(|program| program.fd().ok()).ok_or(DatapathError::NoProgram(name))
        };
        Ok([program(names::PROG_CPU)?, program(names::PROG_CPU_FRAGS)?])
    }

    /// Counts refusals from now on, also when the agent has ended. Those that an earlier one left count on.
    ///
    /// Errors: the kernel has no such tracepoints, or does not let us use them.
    pub fn count_refusals(&mut self, pins: &Pins) -> Result<(), DatapathError> {
        for (name, tracepoint) in TOLD {
            let path = pins.link(PLACE, name);
            if path.exists() {
                continue;
            }
            let program =
                self.0.program_mut(name).and_then(|program| <&mut RawTracePoint>::try_from(program).ok());
            let program = program.ok_or(DatapathError::NoProgram(name))?;
            program.load().map_err(refused(name))?;
            let link =
                program.attach(tracepoint).and_then(|id| program.take_link(id)).map_err(refused(name))?;
            let failed = |error| pin("pin", &path, std::io::Error::other(error));
            FdLink::from(link).pin(&path).map(drop).map_err(failed)?;
        }
        Ok(())
    }
}

fn refused(name: &'static str) -> impl Fn(ProgramError) -> DatapathError {
    move |source| DatapathError::LoadProgram { name, source: Box::new(source) }
}
