//! `cargo xtask fuzz`: a build of the tests' fuzzer that counts which branches run, then a run of it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::Context;

use crate::cargo::{cargo, executables, named, tidy};
use crate::setup::toolchain;
use crate::{command, workspace};

/// LLVM's SanitizerCoverage with a counter in place for each branch. One unit for each crate, so that each counter stands once.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Ccodegen-units=1";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments for esp-fuzz, as `--seconds 600` or `--seed 2`
    #[arg(last = true)]
    rest: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let version = toolchain::rustc_version()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let mut build = cargo("build");
    // Where the target has a name, build scripts and macros are built without the flags.
    build.args(["--package=esp-tests", "--bin=esp-fuzz", "--release", "--target", host]);
    build.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", workspace::root().join("target/fuzz"));
    let built = executables(&mut build)?;
    command::run(tidy(Command::new(&named(&built, "esp-fuzz")?.path)).args(&args.rest))?;
    Ok(ExitCode::SUCCESS)
}
