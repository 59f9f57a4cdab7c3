//! Where the record is kept: one file that is old or new, never half.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Keeps the bytes of a record. The seam where tests crash.
pub trait Store: Send {
    /// The file, for messages.
    fn path(&self) -> &Path;

    /// The bytes last saved; `None` if there never were any.
    ///
    /// # Errors
    /// Unreadable.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Replaces the bytes in one step.
    ///
    /// # Errors
    /// Not replaced.
    fn save(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A file, mode 0600, replaced by rename.
pub struct FileStore {
    path: PathBuf,
}

impl FileStore {
    /// At `path`, in a directory that is there once something is saved.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// One name for all writers: the instance's lock lets in one at a time, and a leftover of a crash is
    /// removed, so that the file is new and has its mode.
    fn draft(&self) -> PathBuf {
        self.path.with_extension("json.new")
    }
}

impl Store for FileStore {
    fn path(&self) -> &Path {
        &self.path
    }

    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        let draft = self.draft();
        remove_leftover(&draft)?;
        write_synced(&draft, bytes)?;
        std::fs::rename(&draft, &self.path)?;
        let dir = self.path.parent().unwrap_or_else(|| Path::new("/"));
        File::open(dir)?.sync_all()
    }
}

fn remove_leftover(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    put(&mut file, bytes)
}

fn put(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn is_old_or_new_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::new(dir.path().join("owned.json"));
        assert_eq!(store.load().unwrap(), None);
        store.save(b"one").unwrap();
        std::fs::write(store.draft(), b"half of tw").unwrap(); // a crash before the rename
        assert_eq!(store.load().unwrap().as_deref(), Some(b"one".as_slice()));
        store.save(b"two").unwrap();
        assert_eq!(store.load().unwrap().as_deref(), Some(b"two".as_slice()));
        assert_eq!(std::fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileStore::new(dir.path().join("absent/owned.json"));
        assert_eq!(store.save(b"one").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = put(&mut full, b"one").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
