//! The two files of a pair.

use crate::keys::private::{self, Overwrite, PrivateError};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Where the two files go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// Of the left gateway.
    pub left: PathBuf,
    /// Of the right gateway.
    pub right: PathBuf,
}

/// Writes both files, or none. The directory is made (mode 0700) unless it is there.
///
/// # Errors
/// One of them is there already, or cannot be written.
pub fn write(files: &Files, left: &str, right: &str) -> Result<(), PrivateError> {
    for path in [&files.left, &files.right] {
        let dir = path.parent().unwrap_or(Path::new(""));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| PrivateError::Write { path: dir.to_owned(), source })?;
    }
    private::write(&files.left, left, Overwrite::No)?;
    private::write(&files.right, right, Overwrite::No).inspect_err(|_| {
        if let Err(error) = private::remove(&files.left) {
            tracing::warn!("failed to remove {}: {error}: half of a pair is left", files.left.display());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_written_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("new").join(name);
        let files = Files { left: at("left.toml"), right: at("right.toml") };
        write(&files, "l", "r").unwrap();
        for there in [&files.left, &files.right] {
            assert!(matches!(write(&files, "x", "y").unwrap_err(), PrivateError::Exists { .. }));
            assert_eq!(std::fs::read_to_string(&files.left).unwrap(), "l");
            assert_eq!(std::fs::read_to_string(&files.right).unwrap(), "r");
            std::fs::remove_file(there).unwrap();
            std::fs::write(there, if *there == files.left { "l" } else { "r" }).unwrap();
        }
        std::fs::remove_file(&files.left).unwrap();
        assert!(write(&files, "x", "y").is_err());
        assert!(!files.left.exists(), "half of a pair");
    }
}
