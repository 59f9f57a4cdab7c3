//! `cargo xtask vm`: a command as root in a VM that sees this machine's files.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::command::Keep;
use crate::setup::kernel::{self, Kernel, Line};
use crate::setup::{self, Need};
use crate::workspace;

mod accel;
mod archive;
mod initramfs;
mod qemu;
mod share;

pub(crate) use accel::Accel;
use qemu::Boot;

/// The codes of timeout(1) and of a container that could not be started.
const TIMED_OUT: u8 = 124;
const DIED: u8 = 125;
/// Under software emulation a boot may fail before the command starts; a command that ran is never run again.
const BOOTS: usize = 3;
const MEMORY_MIB: u32 = 2048;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Kernel line: 6.1, 6.12 or 7.3, or its Debian suite
    #[arg(long, value_name = "LINE", default_value = kernel::NEWEST.name(), conflicts_with_all = ["newest", "oldest"])]
    kernel: Line,
    /// The newest kernel (the default)
    #[arg(long, conflicts_with = "oldest")]
    newest: bool,
    /// The oldest supported kernel
    #[arg(long)]
    oldest: bool,
    /// Seconds after which the VM is ended, with exit code 124
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
    /// Memory of the VM in MiB
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB)]
    mem: u32,
    /// The one directory to which the command writes for good [default: target/vm-out]
    #[arg(long, value_name = "DIR")]
    rw: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let line = if args.oldest { kernel::OLDEST } else { args.kernel };
    setup::ensure(&[Need::Vm(line)])?;
    let kernel = kernel::installed(line)?;
    let mut job = Job::new(&kernel, args.command.clone(), Duration::from_secs(args.timeout));
    job.memory_mib = args.mem;
    if let Some(dir) = &args.rw {
        job.rw = dir.canonicalize().with_context(|| format!("failed to find {}", dir.display()))?;
    }
    Ok(ExitCode::from(boot(&job)?.code))
}

/// A command for a VM.
pub(crate) struct Job<'a> {
    kernel: &'a Kernel,
    command: Vec<OsString>,
    limit: Duration,
    memory_mib: u32,
    rw: PathBuf,
    /// Whether [`Finished::output`] is wanted; it is shown in any case.
    pub(crate) keep: Keep,
    /// What stands before each line that is shown.
    pub(crate) label: String,
}

impl<'a> Job<'a> {
    pub(crate) fn new(kernel: &'a Kernel, command: Vec<OsString>, limit: Duration) -> Self {
        let rw = workspace::vm_out_dir();
        Self { kernel, command, limit, memory_mib: MEMORY_MIB, rw, keep: Keep::Nothing, label: String::new() }
    }
}

/// How a job ended.
pub(crate) struct Finished {
    /// The command's exit code; 124 past the limit, 125 if the VM died under it.
    pub(crate) code: u8,
    /// Standard output and error of the command, if they were to be kept.
    pub(crate) output: String,
}

/// Boots a VM for a job; a boot that died before the command began is tried again.
///
/// # Errors
/// No boot reached the command.
pub(crate) fn boot(job: &Job) -> anyhow::Result<Finished> {
    if !workspace::is_root() {
        bail!("the VM's root is this machine's, which only root may read: run it as root");
    }
    fs::create_dir_all(&job.rw).with_context(|| format!("failed to make {}", job.rw.display()))?;
    let accel = Accel::detect();
    eprintln!("vm: kernel {}, {accel}", job.kernel.version);
    let deadline = Instant::now() + job.limit;
    for _ in 0..BOOTS {
        match qemu::boot(job, accel, deadline)? {
            Boot::Ended { code, output } => return Ok(Finished { code, output }),
            Boot::TimedOut { output } => {
                eprintln!("vm: ended after the limit of {} s", job.limit.as_secs());
                return Ok(Finished { code: TIMED_OUT, output });
            }
            Boot::Died { started: true, log, output } => {
                eprintln!("vm: died under the command:\n{log}");
                return Ok(Finished { code: DIED, output });
            }
            Boot::Died { started: false, log, .. } => eprintln!("vm: a boot failed:\n{log}"),
        }
    }
    bail!("{BOOTS} boots of kernel {} failed (see above)", job.kernel.version)
}
