//! `cargo xtask lint`: every check that needs no test to run.

use std::process::{Command, ExitCode, Stdio};

use crate::cargo::{cargo, tidy};
use crate::setup::{Need, toolchain};
use crate::{build_ebpf, command, setup, workspace};

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    setup::ensure(&[Need::Ebpf, Need::Lint])?;
    command::run(cargo("fmt").args(["--all", "--check"]))?;
    command::run(cargo("clippy").args(["--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    build_ebpf::clippy(&toolchain::find()?)?;
    command::run(cargo("doc").args(["--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    command::run(deny().args(["check", "bans", "licenses", "sources"]))?;
    advisories()?;
    miri()?;
    Ok(ExitCode::SUCCESS)
}

/// The advisories need a database that not every machine reaches: a failed fetch is said, a finding is an error.
fn advisories() -> anyhow::Result<()> {
    if command::status(deny().args(["fetch", "db"]))?.success() {
        return command::run(deny().args(["check", "--disable-fetch", "advisories"]));
    }
    eprintln!(
        "lint: WARNING: the security advisories were NOT checked: their database could not be fetched (see above)"
    );
    Ok(())
}

/// The pure datapath and its ABI under an interpreter that sees undefined behaviour, where a toolchain has it.
fn miri() -> anyhow::Result<()> {
    // A link of rustup's is there also where the component is not.
    if !cargo("miri").arg("--version").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        eprintln!("lint: WARNING: miri was NOT run: no toolchain at hand has it");
        return Ok(());
    }
    command::run(cargo("miri").args(["test", "-p", "esp-common", "-p", "esp-ebpf", "--lib"]))
}

fn deny() -> Command {
    let mut command =
        tidy(Command::new(workspace::program("cargo-deny").unwrap_or_else(|| "cargo-deny".into())));
    command.current_dir(workspace::root());
    command
}
