//! Where maps and links are pinned, so that they outlive the agent.

use super::DatapathError;
use esp_common::{ABI_VERSION, names};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// The pins of one agent instance: `<bpffs>/v<ABI>/<instance>/{maps,links}`.
#[derive(Clone, Debug)]
pub struct Pins {
    dir: PathBuf,
}

impl Pins {
    /// The pins under `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The instance's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Pin of a map.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.dir.join("maps").join(name)
    }

    /// Pin of a link.
    #[must_use]
    pub fn link(&self, iface: &str, program: &str) -> PathBuf {
        // bpffs refuses names with a dot, which VLAN interfaces have; a colon is no part of an interface name.
        self.links().join(format!("{}-{program}", iface.replace('.', ":")))
    }

    /// Where all links are.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.dir.join("links")
    }

    /// The pins of the same instance by an agent of another ABI; `None` where nothing is named after the version.
    #[must_use]
    pub fn of_version(&self, version: u32) -> Option<Self> {
        let (name, versioned) = (self.dir.file_name()?, self.dir.parent()?);
        let ours = versioned.file_name()? == OsStr::new(&version_dir(ABI_VERSION));
        ours.then(|| Self::new(versioned.with_file_name(version_dir(version)).join(name)))
    }

    /// True when the agent was set up here before.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.map(names::MAP_SETTINGS).exists()
    }

    /// Makes the directories.
    ///
    /// Errors: not a BPF file system, not permitted.
    pub fn create(&self) -> Result<(), DatapathError> {
        let existing = self.dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
        let kind = statfs(existing).map_err(|errno| pin("look at", existing, errno.into()))?;
        if kind.filesystem_type() != BPF_FS_MAGIC {
            return Err(DatapathError::NoBpffs(self.dir.clone()));
        }
        for part in ["maps", "links"] {
            let dir = self.dir.join(part);
            fs::create_dir_all(&dir).map_err(|source| pin("create", &dir, source))?;
        }
        Ok(())
    }

    /// Takes everything away: unpinned links end, unpinned maps go with the last program that uses them.
    ///
    /// Errors: a file that could not be removed.
    pub fn remove(&self) -> Result<(), DatapathError> {
        for part in ["links", "maps"] {
            remove_files(&self.dir.join(part))?;
        }
        // The directories above are shared with other instances: they go when they are empty.
        for dir in self.dir.ancestors().take(3) {
            if fs::remove_dir(dir).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Name of the directory of a version.
#[must_use]
pub fn version_dir(version: u32) -> String {
    format!("v{version}")
}

fn remove_files(dir: &Path) -> Result<(), DatapathError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|source| pin("read", dir, source))?,
    };
    for entry in entries {
        let path = entry.map_err(|source| pin("read", dir, source))?.path();
        fs::remove_file(&path).map_err(|source| pin("remove", &path, source))?;
    }
    fs::remove_dir(dir).map_err(|source| pin("remove", dir, source))
}

pub(super) fn pin(what: &'static str, path: &Path, source: io::Error) -> DatapathError {
    DatapathError::Pin { what, path: path.to_path_buf(), source }
}
