//! Queues of CPUs, and what was handed to them.

use super::Kernel;
use anyhow::{Context as _, Result};
use aya::{
    maps::{PerCpuArray, xdp::CpuMap},
    programs::Xdp,
};
use esp_common::{FlowKey, lane::Lane, names};

impl Kernel {
    /// Gives a CPU a queue for frames of one buffer.
    ///
    /// # Errors
    /// The kernel's.
    pub fn queue(&mut self, cpu: u32, size: u32) -> Result<()> {
        let program: &Xdp = self.ebpf.program(names::PROG_CPU).context("no such program")?.try_into()?;
        let program = program.fd()?.try_clone()?;
        let map = self.ebpf.map_mut(names::MAP_CPUS).context("no such map")?;
        Ok(CpuMap::try_from(map)?.set(cpu, size, Some(&program), 0)?)
    }

    /// Has an SA decrypted by a CPU.
    ///
    /// # Errors
    /// There is no such SA.
    pub fn steer(&mut self, key: &FlowKey, cpu: u32) -> Result<()> {
        let slot = self.table.slot(key).context("no such SA")?;
        self.table.lines().put_lane(slot, Lane::of(cpu));
        Ok(())
    }

    /// Packets that were handed to queues, and those of them that have arrived.
    ///
    /// # Errors
    /// A map cannot be read.
    pub fn handed(&self) -> Result<[u64; 2]> {
        let sum = |name: &str| -> Result<u64> {
            let map = PerCpuArray::<_, u64>::try_from(self.ebpf.map(name).context("no such map")?)?;
            let rows: Vec<_> = map.iter().collect::<Result<_, _>>()?;
            Ok(rows.iter().flat_map(|row| row.iter()).sum())
        };
        Ok([sum(names::MAP_HANDED)?, sum(names::MAP_ARRIVED)?])
    }
}
