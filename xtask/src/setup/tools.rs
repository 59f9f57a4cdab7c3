//! The project's own tools, under target/tools.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::{apt, kernel};
use crate::cargo::cargo;
use crate::{command, workspace};

const BPF_LINKER: &str = "0.13.0";
const CARGO_DENY: &str = "0.20.2";

/// A tool that is not installed into the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tool {
    BpfLinker,
    CargoDeny,
    /// Unpacked, not installed: the package would start and enable a service.
    Prometheus,
}

impl Tool {
    pub(super) fn is_missing(self) -> bool {
        self.programs().iter().any(|name| workspace::program(name).is_none())
    }

    /// Whether the tool that is or will be used is the one of target/tools.
    pub(super) fn is_ours_or_missing(self) -> bool {
        let ours = workspace::tools_dir();
        self.programs().iter().all(|name| workspace::program(name).is_none_or(|path| path.starts_with(&ours)))
    }

    pub(super) fn describe(self) -> String {
        match self {
            Self::Prometheus => "prometheus and promtool (package prometheus, unpacked)".into(),
            Self::BpfLinker | Self::CargoDeny => command::line(&self.cargo_install()),
        }
    }

    pub(super) fn install(self) -> anyhow::Result<()> {
        match self {
            Self::BpfLinker | Self::CargoDeny => command::run(&mut self.cargo_install()),
            Self::Prometheus => unpack_prometheus().context("failed to unpack prometheus"),
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::BpfLinker => &["bpf-linker"],
            Self::CargoDeny => &["cargo-deny"],
            Self::Prometheus => &["prometheus", "promtool"],
        }
    }

    fn cargo_install(self) -> Command {
        let mut command = cargo("install");
        command.args(["--locked", "--root", "target/tools"]);
        match self {
            Self::BpfLinker => command
                .args(["--no-default-features", "--features=llvm-22", "--version", BPF_LINKER, "bpf-linker"])
                // Else it takes any llvm-config of the search path, and the link fails.
                .env("LLVM_PREFIX", "/usr/lib/llvm-22"),
            Self::CargoDeny | Self::Prometheus => command.args(["--version", CARGO_DENY, "cargo-deny"]),
        };
        command
    }
}

fn unpack_prometheus() -> anyhow::Result<()> {
    apt::update_if_stale()?;
    let unpacked = tempfile::tempdir().context("failed to make a temporary directory")?;
    kernel::unpack(&["prometheus".into()], unpacked.path(), None)?;
    let bin = workspace::tools_dir().join("bin");
    std::fs::create_dir_all(&bin).with_context(|| format!("failed to make {}", bin.display()))?;
    for name in Tool::Prometheus.programs() {
        copy(&unpacked.path().join("usr/bin").join(name), &bin.join(name))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to).with_context(|| format!("failed to copy {}", to.display()))?;
    Ok(())
}
