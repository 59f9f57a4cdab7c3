//! Where it is measured: one CPU, and its name.

use anyhow::{Context as _, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::utsname::uname,
    unistd::Pid,
};

/// Pins the calling thread to `wanted`, or to the last CPU that it may use (the first one serves most interrupts).
///
/// # Errors
/// The thread may not use that CPU.
pub fn pin(wanted: Option<usize>) -> Result<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).context("failed to read the CPUs of this thread")?;
    let last = || (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu) == Ok(true));
    let cpu = wanted.or_else(last).context("this thread may use no CPU")?;
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("there is no CPU {cpu}"))?;
    sched_setaffinity(this, &set).with_context(|| format!("failed to stay on CPU {cpu}"))?;
    Ok(cpu)
}

/// What the figures hold for.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Release of the kernel.
    pub kernel: String,
    /// CPU that it ran on.
    pub cpu: usize,
    /// Its model, or the architecture where the kernel does not tell a model.
    pub model: String,
}

/// Describes this machine.
///
/// # Errors
/// The kernel does not say who it is.
pub fn machine(cpu: usize) -> Result<Machine> {
    let name = uname().context("failed to read the kernel's release")?;
    let info = std::fs::read_to_string("/proc/cpuinfo").context("failed to read /proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or_else(|| name.machine().to_string_lossy().into(), |(_, model)| model.to_owned());
    Ok(Machine { kernel: name.release().to_string_lossy().into(), cpu, model })
}
