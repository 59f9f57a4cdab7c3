//! What time jiffies have: the datapath reads no clock but that.

use super::{DatapathError, load};
use aya::{
    Ebpf, TestRun as _,
    programs::{SchedClassifier, TestRunOptions},
};
use esp_common::{Settings, names};
use nix::time::{ClockId, clock_getres};

/// The program that tells, in the kernel. It is never attached.
pub struct Clock(Ebpf);

/// The kernel takes no frame that is shorter than its Ethernet header.
const FRAME: [u8; 64] = [0; 64];

impl Clock {
    /// Loads it.
    ///
    /// Errors: [`DatapathError::LoadProgram`].
    pub fn new(mut ebpf: Ebpf) -> Result<Self, DatapathError> {
        let name = names::PROG_CLOCK;
        load::tc(&mut ebpf, name)?
            .load()
            .map_err(|source| DatapathError::LoadProgram { name, source: Box::new(source) })?;
        Ok(Self(ebpf))
    }

    /// Sets what the datapath reckons its time by. Ticks that a virtual machine lost make jiffies fall behind: asked anew
    /// before each lease.
    ///
    /// Errors: [`DatapathError::Clock`].
    pub fn set(&self, settings: &mut Settings) -> Result<(), DatapathError> {
        let program = self.0.program(names::PROG_CLOCK).and_then(|program| program.try_into().ok());
        set(program.ok_or(DatapathError::NoProgram(names::PROG_CLOCK))?, settings)
    }
}

/// As [`Clock::set`], by a program that is loaded.
///
/// Errors: [`DatapathError::Clock`].
pub fn set(program: &SchedClassifier, settings: &mut Settings) -> Result<(), DatapathError> {
    let failed = |source: std::io::Error| DatapathError::Clock(source);
    let mut out = [0; FRAME.len()];
    let options = TestRunOptions { data_in: Some(&FRAME), data_out: Some(&mut out), ..TestRunOptions::new() };
    program.test_run(options).map_err(|error| failed(std::io::Error::other(error)))?;
    let read = |at: usize| {
        out.get(at..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u64::from_ne_bytes(*bytes))
    };
    let (jiffies, ns) = (read(names::CLOCK_OFFSET), read(names::CLOCK_OFFSET + size_of::<u64>()));
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_err(|errno| failed(errno.into()))?;
    let (Some(jiffies), Some(ns), Ok(tick)) = (jiffies, ns, u32::try_from(tick.tv_nsec())) else {
        return Err(failed(std::io::ErrorKind::InvalidData.into()));
    };
    settings.tick_ns = tick;
    settings.epoch = jiffies.wrapping_sub(ns / u64::from(tick.max(1)));
    Ok(())
}
