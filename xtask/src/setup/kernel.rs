//! The VM kernels: Debian's, unpacked under a directory of target/vm for each version, never installed.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, bail};

use super::mirror::Mirror;
use crate::{command, workspace};

/// The cloud flavour: small, with virtio, virtiofs and all that IPsec needs.
const FLAVOUR: &str = "cloud-amd64";
/// Written last: a directory without it is an unfinished one.
const MARK: &str = ".suite";

/// A kernel line, by the Debian suite that carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    name: &'static str,
    suite: &'static str,
}

/// The oldest supported: no TCX, no `bpf_xdp_get_xfrm_state`.
pub(crate) const OLDEST: Line = Line { name: "6.1", suite: "bookworm" };
const LONG_TERM: Line = Line { name: "6.12", suite: "trixie" };
/// Backports follow the newest release: the name is the line that this was written with.
pub(crate) const NEWEST: Line = Line { name: "7.3", suite: "trixie-backports" };

impl Line {
    /// As in `--kernel`.
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lines = [OLDEST, LONG_TERM, NEWEST];
        lines
            .into_iter()
            .find(|line| line.name == text || line.suite == text)
            .ok_or_else(|| format!("not one of {}", lines.map(|line| line.name).join(", ")))
    }
}

/// An unpacked kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// `uname -r` of it.
    pub(crate) version: String,
    dir: PathBuf,
}

impl Kernel {
    /// The directory that holds lib/modules.
    pub(crate) fn module_root(&self) -> PathBuf {
        let merged = self.dir.join("usr");
        if self.dir.join("lib/modules").is_dir() { self.dir.clone() } else { merged }
    }

    /// The modules of this version.
    pub(crate) fn modules(&self) -> PathBuf {
        self.module_root().join("lib/modules").join(&self.version)
    }

    /// The image; Debian keeps it beside the modules from 7.x on.
    pub(crate) fn image(&self) -> PathBuf {
        let boot = self.dir.join("boot").join(format!("vmlinuz-{}", self.version));
        if boot.is_file() { boot } else { self.modules().join("vmlinuz") }
    }
}

/// The unpacked kernel of a line.
///
/// # Errors
/// It was not fetched yet.
pub(crate) fn installed(line: Line) -> anyhow::Result<Kernel> {
    let entries = fs::read_dir(workspace::kernels_dir()).into_iter().flatten().flatten();
    let of_line = |dir: &PathBuf| fs::read_to_string(dir.join(MARK)).is_ok_and(|suite| suite == line.suite);
    let dir = entries
        .map(|entry| entry.path())
        .find(of_line)
        .with_context(|| format!("no VM kernel {line}: run `cargo xtask setup --kernel {line}`"))?;
    let version =
        dir.file_name().context("a kernel directory without a name")?.to_string_lossy().into_owned();
    Ok(Kernel { version, dir })
}

/// Downloads and unpacks the newest kernel of a line.
pub(super) fn fetch(line: Line) -> anyhow::Result<()> {
    let kernels = workspace::kernels_dir();
    let mirror = Mirror::open(line.suite)?;
    let image = image_package(&mirror)?;
    let version = image.trim_start_matches("linux-image-").to_string();
    let (part, done) = (kernels.join(format!(".part-{version}")), kernels.join(&version));
    for stale in [&part, &done] {
        if stale.exists() {
            fs::remove_dir_all(stale).with_context(|| format!("failed to remove {}", stale.display()))?;
        }
    }
    // Kernels from 7.x on are split.
    let split = ["binary", "modules", "base"].map(|part| format!("linux-{part}-{version}"));
    let known = |name: &String| command::query(mirror.apt("apt-cache").args(["show", name])).is_ok();
    let packages: Vec<_> = std::iter::once(image).chain(split.into_iter().filter(known)).collect();
    unpack(&packages, &part, Some(&mirror))?;
    let kernel = Kernel { version, dir: part.clone() };
    command::run(Command::new("depmod").arg("-b").arg(kernel.module_root()).arg(&kernel.version))?;
    fs::write(part.join(MARK), line.suite).context("failed to mark the kernel as complete")?;
    fs::rename(&part, &done).with_context(|| format!("failed to move the kernel to {}", done.display()))
}

fn image_package(mirror: &Mirror) -> anyhow::Result<String> {
    let meta = format!("linux-image-{FLAVOUR}");
    let depends = command::query(mirror.apt("apt-cache").args(["depends", &meta]))?;
    let image = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).find(|name| {
        name.strip_prefix("linux-image-").is_some_and(|rest| rest.starts_with(char::is_numeric))
    });
    Ok(image.with_context(|| format!("{meta} depends on no kernel"))?.to_string())
}

/// Downloads packages, from `mirror` or with the machine's own apt, and unpacks them under `to`.
pub(super) fn unpack(packages: &[String], to: &Path, mirror: Option<&Mirror>) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to make {}", to.display()))?;
    let download = tempfile::tempdir().context("failed to make a temporary directory")?;
    let attempt = || {
        let mut apt = mirror.map_or_else(|| Command::new("apt-get"), |mirror| mirror.apt("apt-get"));
        // The user _apt may not write to a private directory: without this apt says so for each package.
        apt.args(["--quiet", "--option=APT::Sandbox::User=root", "download"]);
        command::run(apt.args(packages).current_dir(download.path()))
    };
    attempt().or_else(|_| attempt())?;
    let mut count = 0;
    for entry in fs::read_dir(download.path()).context("failed to list the download")? {
        let deb = entry.context("failed to list the download")?.path();
        command::run(Command::new("dpkg").arg("-x").args([&deb, to]))?;
        count += 1;
    }
    if count != packages.len() {
        bail!("{count} packages came of {}", packages.join(" "));
    }
    Ok(())
}
