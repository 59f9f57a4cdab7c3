//! Where one agent lives: its name, its directories, its lock. One instance for each network namespace.

mod lock;
mod netns;

pub use lock::InstanceLock;
pub use netns::Netns;

use crate::datapath::pins::version_dir;
use esp_common::ABI_VERSION;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Root of the state directories. XFRM state lives as long as the boot, and so does /run. A service manager
/// must not clear it between runs (systemd: no `RuntimeDirectory=` without `RuntimeDirectoryPreserve=yes`).
pub const RUN_ROOT: &str = "/run/esp-agent";
/// Root of the directories for what must outlive the boot: rotated keys, reserved sequence numbers.
pub const DURABLE_ROOT: &str = "/var/lib/esp-agent";
/// Root of the pin directories.
pub const PIN_ROOT: &str = "/sys/fs/bpf/esp-agent";

/// One agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// `host`, `netns-<cookie>`, or as the operator says.
    pub name: String,
    /// The network namespace it is in.
    pub netns: Netns,
    /// `/run/esp-agent/<name>`.
    pub state_dir: PathBuf,
    /// `/sys/fs/bpf/esp-agent/v<ABI>/<name>`.
    pub pin_dir: PathBuf,
    /// `/var/lib/esp-agent/<name>`. It is made (mode 0700) by the first that keeps something there.
    pub durable_dir: PathBuf,
}

/// The instance cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The namespace could not be told.
    #[error("failed to tell the network namespace: {0}: name the instance with --instance")]
    Netns(#[source] io::Error),
    /// The name does not fit into a path.
    #[error("instance name {0:?} is not 1 to 32 of a-z, 0-9 and -")]
    Name(String),
    /// A directory could not be made.
    #[error("failed to make the directory {}: {source}", path.display())]
    StateDir {
        /// Directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The lock file could not be used.
    #[error("failed to lock {}: {source}", path.display())]
    Lock {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Another agent has the lock.
    #[error("instance {name} is in use by {}: stop it, or run another with --instance", holder(*pid))]
    Busy {
        /// Instance.
        name: String,
        /// The other agent; `None` when it has not written its number yet.
        pid: Option<u32>,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

impl Instance {
    /// The instance of the network namespace that the caller is in, or the one called `name`, at the usual places.
    ///
    /// # Errors
    /// The name is not valid, or the namespace cannot be told.
    pub fn detect(name: Option<&str>) -> Result<Self, InstanceError> {
        let netns = Netns::current().map_err(InstanceError::Netns)?;
        let name = name.map_or_else(|| netns.label(), Into::into);
        Self::at(name, netns, Path::new(RUN_ROOT), Path::new(PIN_ROOT))
    }

    /// An instance at places of the caller's choice.
    ///
    /// # Errors
    /// The name is not valid.
    pub fn at(name: String, netns: Netns, run_root: &Path, pin_root: &Path) -> Result<Self, InstanceError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(InstanceError::Name(name));
        }
        let pin_dir = pin_root.join(version_dir(ABI_VERSION)).join(&name);
        let durable_dir = Path::new(DURABLE_ROOT).join(&name);
        Ok(Self { state_dir: run_root.join(&name), pin_dir, durable_dir, netns, name })
    }

    /// The same with what is durable under another root.
    #[must_use]
    pub fn durable_at(self, root: &Path) -> Self {
        Self { durable_dir: root.join(&self.name), ..self }
    }

    /// Makes the durable directory (mode 0700) unless it is there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_durable_dir(&self) -> Result<(), InstanceError> {
        make_private(&self.durable_dir)
    }

    /// Makes the state directory (mode 0700) and takes the instance for the life of the guard. Whoever changes
    /// the kernel or the record holds it; readers do not need it.
    ///
    /// # Errors
    /// Another agent has it, or the directory cannot be made.
    pub fn lock(&self) -> Result<InstanceLock, InstanceError> {
        make_private(&self.state_dir)?;
        InstanceLock::take(&self.name, &self.state_dir.join("lock"))
    }
}

fn make_private(dir: &Path) -> Result<(), InstanceError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| InstanceError::StateDir { path: dir.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn instance(name: &str, root: &Path) -> Result<Instance, InstanceError> {
        Instance::at(name.into(), Netns::Cookie(7), root, Path::new(PIN_ROOT))
    }

    #[test]
    fn paths_follow_the_name() {
        let edge = instance("edge-1", Path::new(RUN_ROOT)).unwrap();
        assert_eq!(edge.state_dir, Path::new("/run/esp-agent/edge-1"));
        assert_eq!(edge.pin_dir, Path::new(&format!("/sys/fs/bpf/esp-agent/v{ABI_VERSION}/edge-1")));
        assert_eq!(edge.durable_dir, Path::new("/var/lib/esp-agent/edge-1"));
        assert_eq!(edge.durable_at(Path::new("/srv")).durable_dir, Path::new("/srv/edge-1"));
    }

    #[test]
    fn names_that_could_leave_the_directory_are_refused() {
        for name in ["", ".", "..", "a/b", "A", "a_b", "a b", "é", &"a".repeat(33)] {
            let error = instance(name, Path::new(RUN_ROOT)).unwrap_err();
            assert!(matches!(error, InstanceError::Name(_)), "{name:?}");
        }
        assert!(instance(&"a".repeat(32), Path::new(RUN_ROOT)).is_ok());
    }

    #[test]
    fn one_agent_at_a_time_and_the_error_names_it() {
        let root = tempfile::tempdir().unwrap();
        let edge = instance("edge", root.path()).unwrap();
        let held = edge.lock().unwrap();
        assert_eq!(std::fs::metadata(&edge.state_dir).unwrap().permissions().mode() & 0o777, 0o700);
        let error = edge.lock().unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(instance("other", root.path()).unwrap().lock().is_ok());
        drop(held);
        assert!(edge.lock().is_ok());
    }
}
