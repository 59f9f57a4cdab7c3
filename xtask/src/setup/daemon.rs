//! The IKE daemons that the agent is tested beside: unpacked, never installed. Their packages would start a daemon
//! that takes hold of this machine's XFRM, and those of one conflict with those of the other.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use super::{apt, kernel};
use crate::{command, workspace};

/// An IKE daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Daemon {
    Strongswan,
    Libreswan,
}

impl Daemon {
    /// All of them.
    pub(super) const ALL: [Self; 2] = [Self::Strongswan, Self::Libreswan];

    pub(super) fn is_missing(self) -> bool {
        !self.dir().is_dir()
    }

    pub(super) fn describe(self) -> String {
        format!("{} (packages {}, unpacked)", self.name(), self.packages().join(" "))
    }

    /// Unpacks its packages and those of their dependencies that this machine does not have.
    pub(super) fn unpack(self) -> anyhow::Result<()> {
        apt::update_if_stale()?;
        let mut packages: Vec<String> = self.packages().iter().map(|name| (*name).to_string()).collect();
        packages.extend(self.dependencies()?);
        packages.sort_unstable();
        packages.dedup();
        let done = self.dir();
        let part = done.with_extension("part");
        if part.exists() {
            fs::remove_dir_all(&part).with_context(|| format!("failed to remove {}", part.display()))?;
        }
        kernel::unpack(&packages, &part, None)?;
        fs::rename(&part, &done).with_context(|| format!("failed to move {} into place", done.display()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Strongswan => "strongswan",
            Self::Libreswan => "libreswan",
        }
    }

    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Strongswan => &["charon-systemd", "strongswan-swanctl", "libstrongswan-standard-plugins"],
            Self::Libreswan => &["libreswan"],
        }
    }

    /// What apt would install with it.
    fn dependencies(self) -> anyhow::Result<Vec<String>> {
        let mut simulation = Command::new("apt-get");
        simulation.args(["install", "--simulate", "--quiet", "--no-install-recommends"]);
        let text = command::query(simulation.args(self.packages()))?;
        let name = |line: &str| Some(line.strip_prefix("Inst ")?.split_whitespace().next()?.to_string());
        Ok(text.lines().filter_map(name).collect())
    }

    fn dir(self) -> PathBuf {
        workspace::tools_dir().join(self.name())
    }
}
