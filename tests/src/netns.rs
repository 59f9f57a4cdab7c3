//! Namespaces that exist only as long as this process holds them.
//!
//! A [`Netns`] is a network namespace together with a mount namespace of its own, both held by open files alone:
//! no name in /run/netns, no mount that others see. When the last handle and the last process in it are gone, by
//! whatever way they went, the kernel takes all of it away.
//!
//! The mount namespace makes it look like a host of its own: /sys shows its interfaces, /sys/fs/bpf is its own
//! (pins outlive the agent, not the test), and /run is empty.

use crate::run;
use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, setns, unshare},
};
use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// A handle on a network namespace and its mount namespace. Clones share them.
#[derive(Clone, Debug)]
pub struct Netns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    net: File,
    mounts: File,
}

impl Netns {
    /// Makes a namespace with its loopback up. The name is for messages only: any number may share it.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or where the kernel refuses a mount.
    pub fn new(name: &str) -> Result<Self> {
        let made = std::thread::scope(|scope| scope.spawn(unshare_here).join());
        let (net, mounts) = made
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .with_context(|| format!("failed to make the namespace {name} (root is needed)"))?;
        let netns = Self(Arc::new(Inner { name: name.to_owned(), net, mounts }));
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// The name given to it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The inode that identifies the network namespace, as `/proc/PID/ns/net` shows it.
    ///
    /// # Errors
    /// Never in practice: the file is open.
    pub fn inode(&self) -> Result<u64> {
        Ok(self.0.net.metadata()?.ino())
    }

    /// A path by which other processes can open the network namespace while this one lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        use std::os::fd::AsRawFd;
        Path::new("/proc").join(format!("{}/fd/{}", std::process::id(), self.0.net.as_raw_fd()))
    }

    /// Runs `work` on a thread inside the namespace; a panic goes on in the caller.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn run_in<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let cwd = std::env::current_dir().context("failed to read the working directory")?;
        let inside = || {
            // Threads share their root and working directory, which setns to a mount namespace refuses.
            unshare(CloneFlags::CLONE_FS).context("failed to part with the file system context")?;
            self.enter().with_context(|| format!("failed to enter the namespace {}", self.name()))?;
            std::env::set_current_dir(&cwd).context("failed to return to the working directory")?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// A command that will run in the namespace, in this process's working directory.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let netns = self.clone();
        // setns to a mount namespace leaves the process at its root.
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let enter = move || {
            netns.enter()?;
            Ok(nix::unistd::chdir(&cwd)?)
        };
        // SAFETY: after fork only system calls are made, on descriptors and a path (short enough for nix to put it
        // on the stack) that exist already: nothing allocates and no lock is taken.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs `ip` with arguments parted by spaces, and gives its output.
    ///
    /// # Errors
    /// When it fails: with its words.
    pub fn ip(&self, args: &str) -> Result<String> {
        let mut command = self.command("ip");
        run::text(command.args(args.split_whitespace())).with_context(|| format!("in {}", self.name()))
    }

    /// Sets a sysctl, named with dots or slashes.
    ///
    /// # Errors
    /// When the kernel does not have it or refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(name.replace('.', "/"));
        self.run_in(|| {
            std::fs::write(&path, value).with_context(|| format!("failed to set {name} to {value}"))
        })
    }

    /// Takes the calling thread into the namespace.
    fn enter(&self) -> io::Result<()> {
        setns(&self.0.mounts, CloneFlags::CLONE_NEWNS)?;
        Ok(setns(&self.0.net, CloneFlags::CLONE_NEWNET)?)
    }
}

/// Moves the calling thread to new namespaces, fills the mounts in, and hands the namespaces out.
fn unshare_here() -> Result<(File, File)> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("failed to unshare")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("failed to make the mounts private")?;
    fresh("sysfs", "/sys")?;
    fresh("bpf", "/sys/fs/bpf")?;
    if Path::new("/sys/kernel/tracing").is_dir() {
        fresh("tracefs", "/sys/kernel/tracing")?;
    }
    fresh("tmpfs", "/run")?;
    let open = |kind| {
        let path = format!("/proc/thread-self/ns/{kind}");
        File::open(&path).with_context(|| format!("failed to open {path}"))
    };
    Ok((open("net")?, open("mnt")?))
}

fn fresh(kind: &str, at: &str) -> Result<()> {
    mount(Some(kind), at, Some(kind), MsFlags::MS_NOSUID, None::<&str>)
        .with_context(|| format!("failed to mount {kind} at {at}"))
}
