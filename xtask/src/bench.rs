//! `cargo xtask bench`: the object, then `esp-bench` on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::bail;

use crate::cargo::{cargo, executables, named, tidy};
use crate::{build_ebpf, command, setup, workspace};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure the control plane with 10,000 SAs instead: a release build of the agent
    #[arg(long)]
    control: bool,
    /// A directory with C yardsticks and a Makefile (target `all`, output `B`), to be run beside; built under target/
    #[arg(long)]
    yardsticks: Option<PathBuf>,
    /// Arguments for esp-bench, as `--json` or `--rounds 21`
    #[arg(last = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !workspace::is_root() {
        bail!("bench loads eBPF programs: run it as root");
    }
    setup::ensure(&[setup::Need::Ebpf, setup::Need::Bench])?;
    build_ebpf::build()?;
    // Packets run in the kernel, but the edits and readings of the table are the agent's own code.
    let built = executables(cargo("build").args(["--release", "--package=esp-tests", "--bin=esp-bench"]))?;
    let mut bench = tidy(Command::new(&named(&built, "esp-bench")?.path));
    if args.control {
        let agent =
            executables(cargo("build").args(["--release", "--package=esp-agent", "--bin=esp-agent"]))?;
        bench.arg("--control").env("ESP_AGENT", &named(&agent, "esp-agent")?.path);
    }
    if let Some(dir) = &args.yardsticks {
        bench.arg("--yardsticks").arg(yardsticks(dir)?);
    }
    Ok(command::exit_code(command::status(bench.args(&args.rest))?))
}

/// Builds the yardsticks in `dir` to a place of ours; needs what their README names (clang, libbpf).
fn yardsticks(dir: &Path) -> anyhow::Result<PathBuf> {
    let out = workspace::root().join("target/yardsticks");
    let mut assignment = OsString::from("B=");
    assignment.push(&out);
    command::run(Command::new("make").arg("-s").arg("-C").arg(dir).arg(assignment).arg("all"))?;
    Ok(out)
}
