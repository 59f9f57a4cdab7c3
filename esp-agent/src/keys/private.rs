//! Files with keys: only their owner reads them, and none is overwritten by chance.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file with keys could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// There is one already.
    #[error("{} is there already, nothing was written: remove it, or choose another name", path.display())]
    Exists {
        /// File.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// It could not be read.
    #[error("failed to read {}: {source}", path.display())]
    Read {
        /// File.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Others may read it, or it is not the reader's.
    #[error("{} {reason}", path.display())]
    Open {
        /// File.
        path: PathBuf,
        /// What is wrong with it, and the way out.
        reason: String,
    },
}

/// Whether a file that is there is an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overwrite {
    /// It is.
    No,
    /// It is replaced.
    Yes,
}

/// Writes `text` to a new file of mode 0600.
///
/// # Errors
/// The file is there, or cannot be written: then it is as it was.
pub fn write(path: &Path, text: &str, overwrite: Overwrite) -> Result<(), PrivateError> {
    let failed = |source| PrivateError::Write { path: path.to_owned(), source };
    if overwrite == Overwrite::Yes {
        remove(path).map_err(failed)?;
    }
    // Never an existing file: its mode would stay, and a link would be followed.
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(PrivateError::Exists { path: path.to_owned() });
        }
        opened => opened.map_err(failed)?,
    };
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Removes a file that may not be there.
///
/// # Errors
/// It is there and stays.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// More than a file with the keys of one tunnel ever has.
const LIMIT: u64 = 64 * 1024;

/// Reads a file that is closed to group and others and belongs to root or to the caller.
///
/// # Errors
/// It is open to others, or cannot be read.
pub fn read(path: &Path) -> Result<Zeroizing<String>, PrivateError> {
    let failed = |source| PrivateError::Read { path: path.to_owned(), source };
    let refused = |reason: String| PrivateError::Open { path: path.to_owned(), reason };
    // A FIFO must not hold up the reader.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let mut file = file.map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || meta.len() > LIMIT {
        return Err(refused("is not a file with keys".into()));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o7777;
        return Err(refused(format!("is open to group or others (mode {mode:04o}): chmod 600 it")));
    }
    if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(refused(format!("belongs to uid {}: it must belong to root or to you", meta.uid())));
    }
    // Large enough from the start: a growing buffer would leave copies behind.
    let capacity = usize::try_from(meta.len()).unwrap_or(0) + 1;
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    (&mut file).take(LIMIT).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_private_and_not_overwritten_unless_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write(&path, "one", Overwrite::No).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let refused = write(&path, "two", Overwrite::No).unwrap_err();
        assert!(matches!(refused, PrivateError::Exists { .. }), "{refused}");
        assert_eq!(*read(&path).unwrap(), "one");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        write(&path, "two", Overwrite::Yes).unwrap();
        assert_eq!(*read(&path).unwrap(), "two");
    }

    #[test]
    fn what_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write(&path, "one", Overwrite::No).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("chmod 600"), "{mode:o}");
        }
        assert!(matches!(read(dir.path()).unwrap_err(), PrivateError::Open { .. }));
        assert!(matches!(read(&dir.path().join("absent")).unwrap_err(), PrivateError::Read { .. }));
    }
}
