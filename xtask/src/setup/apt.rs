//! Distribution packages, each known by a file that it brings.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use crate::{command, workspace};

/// A package and what shows that it is there: a program of the search path or an absolute file name, any of these.
pub(crate) struct Package {
    name: &'static str,
    proof: &'static [&'static str],
}

const fn package(name: &'static str, proof: &'static [&'static str]) -> Package {
    Package { name, proof }
}

/// What bpf-linker is built with.
pub(crate) const LLVM: &[Package] = &[
    package("llvm-22-dev", &["/usr/lib/llvm-22/include/llvm-c/Core.h"]),
    package("libpolly-22-dev", &["/usr/lib/llvm-22/lib/libPolly.a"]),
];

/// What the lab, the demo and the tests call.
pub(crate) const LAB: &[Package] = &[
    package("iproute2", &["ip"]),
    package("iputils-ping", &["ping"]),
    package("nftables", &["nft"]),
    package("tcpdump", &["tcpdump"]),
    package("bpftool", &["bpftool"]),
    package("ethtool", &["ethtool"]),
    package("kmod", &["modprobe"]),
    package("strace", &["strace"]),
];

/// What the bench calls, and what it measures beside ours.
pub(crate) const BENCH: &[Package] = &[
    package("iproute2", &["ip"]),
    package("ethtool", &["ethtool"]),
    package("nftables", &["nft"]),
    package("iptables", &["iptables-legacy-restore"]),
];

/// Where a virtiofsd may lie: the one of qemu up to 7.2, and the one in Rust that followed it.
pub(crate) const VIRTIOFSD: &[&str] = &["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"];

/// What boots a VM and unpacks its kernel's modules.
pub(crate) const VM: &[Package] = &[
    package("qemu-system-x86", &["qemu-system-x86_64"]),
    // From trixie on it is a package of its own: see `install_name`.
    package("qemu-system-common", VIRTIOFSD),
    package("busybox-static", &["/bin/busybox"]),
    package("kmod", &["depmod"]),
    package("xz-utils", &["xz"]),
    package("zstd", &["zstd"]),
];

/// The names of those packages of `table` that are not there.
pub(crate) fn missing(table: &[Package]) -> Vec<&'static str> {
    let there = |proof: &&str| {
        if proof.starts_with('/') { Path::new(proof).is_file() } else { workspace::program(proof).is_some() }
    };
    table.iter().filter(|package| !package.proof.iter().any(there)).map(|package| package.name).collect()
}

/// Installs packages; once more on fresh lists if it fails.
///
/// # Errors
/// The second try fails too.
pub(crate) fn install(names: &[&str]) -> anyhow::Result<()> {
    if !lists_are_fresh() {
        update()?;
    }
    let attempt =
        || command::run(apt_get("install").arg("--no-install-recommends").args(install_names(names)));
    attempt().or_else(|_| update().and_then(|()| attempt())).with_context(|| {
        format!("failed to install packages; install by hand what gives you: {}", names.join(" "))
    })
}

/// Reads the package lists if there are none or they are more than a day old.
pub(crate) fn update_if_stale() -> anyhow::Result<()> {
    if lists_are_fresh() || !workspace::is_root() { Ok(()) } else { update() }
}

fn update() -> anyhow::Result<()> {
    let attempt = || command::run(&mut apt_get("update"));
    attempt().or_else(|_| attempt())
}

fn apt_get(verb: &str) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.args([verb, "--yes", "--quiet", "--option=DPkg::Lock::Timeout=300"]);
    command
}

fn install_names<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let split = || command::query(Command::new("apt-cache").args(["show", "virtiofsd"])).is_ok();
    let name = |name: &&'a str| if *name == "qemu-system-common" && split() { "virtiofsd" } else { name };
    names.iter().map(name).collect()
}

fn lists_are_fresh() -> bool {
    let lists = Path::new("/var/lib/apt/lists");
    let holds_lists = std::fs::read_dir(lists).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    });
    let read_at = lists.join("partial").metadata().and_then(|meta| meta.modified());
    let day = Duration::from_secs(24 * 3600);
    holds_lists && read_at.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_missing_only_without_all_of_its_proofs() {
        let table = [
            package("a", &["/nowhere", "sh"]),
            package("b", &["/nowhere"]),
            package("c", &["/proc/version"]),
        ];
        assert_eq!(missing(&table), ["b"]);
    }
}
