//! `cargo xtask bench`: the object, then `esp-bench` on this machine.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::bail;

use crate::cargo::{cargo, executables, named, tidy};
use crate::{build_ebpf, command, setup, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for esp-bench, as `--json` or `--rounds 21`
    #[arg(last = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !workspace::is_root() {
        bail!("bench loads eBPF programs: run it as root");
    }
    setup::ensure(&[setup::Need::Ebpf])?;
    build_ebpf::build()?;
    // The packets run in the kernel (BPF_PROG_TEST_RUN), so the profile of the program that asks is of no account.
    let built = executables(cargo("build").args(["--package=esp-tests", "--bin=esp-bench"]))?;
    let mut bench = tidy(Command::new(&named(&built, "esp-bench")?.path));
    Ok(command::exit_code(command::status(bench.args(&args.rest))?))
}
