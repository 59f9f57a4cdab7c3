//! `cargo xtask build-ebpf`: the eBPF object, with BTF and line tables.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Context;

use crate::setup::toolchain::{self, Toolchain};
use crate::{command, setup, workspace};

const TARGET: &str = "bpfel-unknown-none";
/// The verifier's log quotes source lines only if the object has BTF, which bpf-linker makes from full debug information.
const FLAGS: &str = "-C debuginfo=2 -C link-arg=--btf";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build the debug object, which logs the first packet of each flow through the agent's log
    #[arg(long)]
    log: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    setup::ensure(&[setup::Need::Ebpf])?;
    build_with(if args.log { "log" } else { "bpf" })?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the object that the build script of `esp-agent` embeds, the objects of the bench beside it.
pub(crate) fn build() -> anyhow::Result<()> {
    build_with("bpf")
}

fn build_with(feature: &str) -> anyhow::Result<()> {
    let toolchain = toolchain::find()?;
    command::run(for_bpf(&mut toolchain.cargo("build"), feature, FLAGS))?;
    for name in ["esp", "esp-vary", "esp-select", "esp-usual", "esp-least"] {
        let built = workspace::bpf_dir().join(TARGET).join("release").join(name);
        let object = fs::read(&built).with_context(|| format!("failed to read {}", built.display()))?;
        publish(&object, &workspace::bpf_dir().join(name).with_extension("o"))?;
    }
    Ok(())
}

/// Checks the eBPF program with clippy; warnings are errors.
pub(crate) fn clippy(toolchain: &Toolchain) -> anyhow::Result<()> {
    command::run(for_bpf(&mut toolchain.clippy(), "log", &format!("{FLAGS} -D warnings")))
}

fn for_bpf<'a>(cargo: &'a mut Command, feature: &str, flags: &str) -> &'a mut Command {
    cargo
        .args(["--package=esp-ebpf", "--bins", "--release", "-Zbuild-std=core", "--features", feature])
        .args(["--target", TARGET, "--target-dir", "target/bpf"])
        .env("RUSTFLAGS", flags)
}

/// An object with the same content keeps its age, so that esp-agent is not built again.
fn publish(object: &[u8], path: &Path) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == object) {
        eprintln!("build-ebpf: {} is up to date", path.display());
        return Ok(());
    }
    // In two steps, because a build of esp-agent may read it at this moment.
    let fresh = path.with_extension("new");
    fs::write(&fresh, object)
        .and_then(|()| fs::rename(&fresh, path))
        .with_context(|| format!("failed to write {}", path.display()))?;
    eprintln!("build-ebpf: {} ({} bytes)", path.display(), object.len());
    Ok(())
}
