//! A directory of this machine as a virtiofs share: Debian's cloud kernels have no 9p.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::command::Guarded;
use crate::setup::apt::VIRTIOFSD;

/// A running virtiofsd; it ends with its guard, or when qemu hangs up.
pub(super) struct Share {
    /// Where qemu finds it.
    pub(super) socket: PathBuf,
    /// What the guest mounts it by.
    pub(super) tag: &'static str,
    _daemon: Guarded,
}

impl Share {
    /// Serves `dir`, with its socket and log in `work`.
    pub(super) fn start(tag: &'static str, dir: &Path, work: &Path) -> anyhow::Result<Self> {
        let socket = work.join(tag);
        // Bound here and handed over: nothing to wait for, and no lock file of virtiofsd's for its path.
        let listener =
            UnixListener::bind(&socket).with_context(|| format!("failed to bind {}", socket.display()))?;
        let log = std::fs::File::create(work.join(format!("{tag}.log"))).context("failed to make a log")?;
        let mut command = daemon(dir)?;
        command.arg("--fd=0").stdin(OwnedFd::from(listener)).stdout(Stdio::null()).stderr(log);
        Ok(Self { socket, tag, _daemon: Guarded::spawn(&mut command)? })
    }
}

fn daemon(dir: &Path) -> anyhow::Result<Command> {
    let program =
        VIRTIOFSD.iter().find(|path| Path::new(path).exists()).context("no virtiofsd on this machine")?;
    let mut command = Command::new(program);
    // "chroot" works in containers too, where the default needs more rights than there are.
    if program.contains("/qemu/") {
        command
            .args(["-o", "cache=always,xattr,sandbox=chroot", "-o"])
            .arg(format!("source={}", dir.display()));
    } else {
        command.args(["--cache=always", "--xattr", "--sandbox=chroot", "--shared-dir"]).arg(dir);
    }
    Ok(command)
}
