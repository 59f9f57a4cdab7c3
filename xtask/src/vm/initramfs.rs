//! What the guest starts with: busybox, the modules on the way to the host's root, and the command.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::Job;
use super::archive::Archive;
use crate::command::{self, quoted};
use crate::setup::kernel::Kernel;
use crate::workspace;

/// What must be loaded before the host's root can be mounted.
const BOOT_MODULES: [&str; 4] = ["virtio_pci", "virtio_console", "virtiofs", "overlay"];

/// Builds the initramfs of one job.
///
/// # Errors
/// busybox or a module cannot be read.
pub(super) fn build(job: &Job) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for name in ["bin", "mod", "proc", "sys", "dev", "host", "over", "new"] {
        archive.directory(name);
    }
    archive.file("bin/busybox", &std::fs::read("/bin/busybox").context("failed to read /bin/busybox")?);
    let mut order = String::new();
    for (index, module) in boot_modules(job.kernel)?.iter().enumerate() {
        let name = format!("{index}.ko");
        archive.file(&format!("mod/{name}"), &content(module)?);
        writeln!(order, "{name}")?;
    }
    archive.file("mod/order", order.as_bytes());
    archive.file("vm.env", environment(job)?.as_bytes());
    archive.file("init", include_bytes!("init.sh"));
    archive.file("stage.sh", include_bytes!("stage.sh"));
    archive.file("command", (words(job).join(" ") + "\n").as_bytes());
    Ok(archive.finish())
}

fn words(job: &Job) -> Vec<String> {
    job.command.iter().map(|word| quoted(word)).collect()
}

fn environment(job: &Job) -> anyhow::Result<String> {
    let mut text = String::new();
    let here = std::env::current_dir().context("failed to find the current directory")?;
    for (name, value) in [
        ("VM_KERNEL", OsStr::new(&job.kernel.version)),
        ("VM_MODULES", job.kernel.modules().as_os_str()),
        ("VM_RW", job.rw.as_os_str()),
        ("VM_DIR", here.as_os_str()),
        ("VM_PATH", &workspace::search_path()),
        ("VM_CI", &std::env::var_os("CI").unwrap_or_default()),
    ] {
        writeln!(text, "{name}={}", quoted(value))?;
    }
    Ok(text)
}

/// The files of [`BOOT_MODULES`] with all that they depend on, in the order to load them.
fn boot_modules(kernel: &Kernel) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for module in BOOT_MODULES {
        let mut modprobe =
            Command::new(workspace::program("modprobe").context("modprobe is missing: install kmod")?);
        modprobe.arg("-d").arg(kernel.module_root()).args(["-S", &kernel.version, "--show-depends", module]);
        for line in command::query(&mut modprobe)?.lines() {
            // The other form is "builtin NAME".
            if let Some(file) = line.strip_prefix("insmod ").map(|file| PathBuf::from(file.trim()))
                && !files.contains(&file)
            {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// busybox loads no compressed module.
fn content(module: &Path) -> anyhow::Result<Vec<u8>> {
    let unpack = match module.extension().and_then(OsStr::to_str) {
        Some("xz") => Some("xz"),
        Some("zst") => Some("zstd"),
        Some(_) | None => None,
    };
    let Some(program) = unpack else {
        return std::fs::read(module).with_context(|| format!("failed to read {}", module.display()));
    };
    let output = Command::new(program).arg("-dc").arg(module).output();
    let output = output.with_context(|| format!("failed to start {program}"))?;
    anyhow::ensure!(output.status.success(), "failed to unpack {}", module.display());
    Ok(output.stdout)
}
