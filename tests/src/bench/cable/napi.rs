//! The kernel's thread that receives for an interface (threaded NAPI): its CPU time is what receiving costs, and nothing else.

use crate::netns::Netns;
use anyhow::{Context as _, Result, ensure};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use std::{fs, io};

/// The thread.
pub(super) struct Napi(i32);

impl Napi {
    /// Has the interface receive by a thread, on one CPU and before all else there. Its name must be on no other interface of
    /// this machine.
    ///
    /// # Errors
    /// The kernel has no threads for that (Linux 5.12), or they are not seen from here.
    pub(super) fn of(netns: &Netns, iface: &str, cpu: usize) -> Result<Self> {
        let path = format!("/sys/class/net/{iface}/threaded");
        netns.run_in(|| fs::write(&path, "1").with_context(|| format!("failed to write {path}")))?;
        let napi = Self(thread(iface)?);
        let mut cpus = CpuSet::new();
        cpus.set(cpu)?;
        sched_setaffinity(Pid::from_raw(napi.0), &cpus).context("failed to move the thread")?;
        let first = libc::sched_param { sched_priority: 1 };
        // SAFETY: the kernel reads one struct.
        let set = unsafe { libc::sched_setscheduler(napi.0, libc::SCHED_FIFO, &raw const first) };
        ensure!(set == 0, "failed to put the thread first: {}", io::Error::last_os_error());
        Ok(napi)
    }

    /// ns of CPU time so far.
    ///
    /// # Errors
    /// The thread is gone.
    pub(super) fn cpu_ns(&self) -> Result<u64> {
        let path = format!("/proc/{}/schedstat", self.0);
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        let first = text.split_whitespace().next().with_context(|| format!("{path} is empty"))?;
        first.parse().with_context(|| format!("{path}: {text}"))
    }
}

/// `napi/IFACE-ID` (net/core/dev.c, `napi_kthread_create`).
fn thread(iface: &str) -> Result<i32> {
    let start = format!("napi/{iface}-");
    let named = |process: fs::DirEntry| {
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        name.starts_with(&start).then(|| process.file_name().to_str()?.parse().ok())?
    };
    let processes = fs::read_dir("/proc").context("failed to read /proc")?;
    processes.flatten().find_map(named).with_context(|| format!("no thread {start}ID is to be seen"))
}
