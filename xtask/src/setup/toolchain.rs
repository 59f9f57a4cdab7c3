//! Finds a rustc that can build core for BPF.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use super::tools::Tool;
use crate::cargo::{cargo, tidy};
use crate::command;

/// LLVM release that the bpf-linker of target/tools reads; bitcode of a newer one it does not.
const LINKER_LLVM: u32 = 22;
/// `rust-version` of the workspace.
const OLDEST_RUSTC: u32 = 95;
/// A distribution's rustc, as opposed to the one of rustup in the search path.
const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";
const DISTRIBUTION_CLIPPY: &str = "/usr/bin/clippy-driver";

/// A rustc with the sources of its core.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// rustup's nightly.
    Nightly,
    /// A stable release of the distribution, told to take unstable options.
    Distribution,
}

/// Finds a toolchain.
///
/// # Errors
/// There is none; the text names the ways to get one.
pub(crate) fn find() -> anyhow::Result<Toolchain> {
    if has_core(&|| with_nightly(tidied("rustc")), Some(LINKER_LLVM)) {
        return Ok(Toolchain::Nightly);
    }
    if has_core(&|| tidied(DISTRIBUTION_RUSTC), None) {
        return Ok(Toolchain::Distribution);
    }
    bail!(
        "no rustc can build core for BPF: run `rustup toolchain install nightly --component rust-src`, \
         or install the packages {}",
        PACKAGES.join(" ")
    )
}

const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// The packages that bring a toolchain, if there is none.
pub(super) fn missing_packages() -> Vec<&'static str> {
    if find().is_ok() { Vec::new() } else { PACKAGES.to_vec() }
}

/// The package that brings the clippy of the toolchain, if it is not there.
pub(super) fn missing_clippy() -> Option<&'static str> {
    let by_rustup = matches!(find(), Ok(Toolchain::Nightly));
    (!by_rustup && !Path::new(DISTRIBUTION_CLIPPY).exists()).then_some("rust-web-clippy")
}

impl Toolchain {
    /// A cargo command that builds with this toolchain.
    pub(crate) fn cargo(&self, verb: &str) -> Command {
        let mut command = cargo(verb);
        match self {
            Self::Nightly => command.env("RUSTUP_TOOLCHAIN", "nightly"),
            Self::Distribution => command.env("RUSTC", DISTRIBUTION_RUSTC).env("RUSTC_BOOTSTRAP", "1"),
        };
        command
    }

    /// A cargo command that checks the packages of the work tree with the clippy of this toolchain.
    pub(crate) fn clippy(&self) -> Command {
        match self {
            Self::Nightly => self.cargo("clippy"),
            Self::Distribution => {
                let mut command = self.cargo("check");
                // What `cargo clippy` does; the one in the search path would take rustup's clippy-driver.
                command.env("RUSTC_WORKSPACE_WRAPPER", DISTRIBUTION_CLIPPY);
                command
            }
        }
    }
}

fn tidied(program: &str) -> Command {
    tidy(Command::new(program))
}

fn with_nightly(mut rustc: Command) -> Command {
    rustc.env("RUSTUP_TOOLCHAIN", "nightly");
    rustc
}

/// Whether this rustc has the sources of core and is new enough, and not too new for the linker.
fn has_core(rustc: &dyn Fn() -> Command, newest_llvm: Option<u32>) -> bool {
    let Ok(version) = command::query(rustc().arg("-vV")) else { return false };
    let Ok(sysroot) = command::query(rustc().args(["--print", "sysroot"])) else { return false };
    // A linker of the user's own is taken to match the user's own nightly.
    let bound = newest_llvm.filter(|_| Tool::BpfLinker.is_ours_or_missing());
    bound.is_none_or(|newest| llvm(&version).is_some_and(|llvm| llvm <= newest))
        && minor(&version).is_some_and(|minor| minor >= OLDEST_RUSTC)
        && PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir()
}

fn minor(version: &str) -> Option<u32> {
    version.lines().find_map(|line| line.strip_prefix("release: 1."))?.split('.').next()?.parse().ok()
}

/// What `rustc -vV` says of the one in the search path.
///
/// # Errors
/// There is none.
pub(crate) fn rustc_version() -> anyhow::Result<String> {
    command::query(tidied("rustc").arg("-vV"))
}

/// The release of LLVM that `rustc -vV` names.
pub(crate) fn llvm(version: &str) -> Option<u32> {
    version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_verbose_output() {
        let text = "rustc 1.96.0 (ac68faa20)\nrelease: 1.96.0-nightly\nLLVM version: 22.1.8\n";
        assert_eq!((minor(text), llvm(text)), (Some(96), Some(22)));
        assert_eq!((minor("release: 2.0"), llvm("")), (None, None));
    }
}
