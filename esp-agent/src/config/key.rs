//! Keys: from a file, a systemd credential or the configuration itself.
//!
//! No error text here holds anything that was read or typed as a key.

use super::report::{At, Located};
use super::section::Section;
use crate::secret::Secret;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where keys outside the configuration are looked for.
pub(super) struct KeyStore {
    /// Relative paths start here: the directory of the configuration file.
    pub(super) base: PathBuf,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub(super) credentials: Option<PathBuf>,
}

/// A key, where it was named, and whether it stood there itself.
pub(super) struct Key {
    pub(super) secret: Secret,
    pub(super) at: At,
    pub(super) inline: bool,
}

/// More than the longest key in hex with all its white space.
const FILE_LIMIT: usize = 4096;

impl KeyStore {
    pub(super) fn new(base: &Path) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { base: base.to_owned(), credentials }
    }

    /// Reads the key `name` of `section`: one of `NAME`, `NAME_file` and `NAME_credential`.
    pub(super) fn read(&self, section: &mut Section<'_>, name: &str) -> Option<Key> {
        let (file_key, credential_key) = (format!("{name}_file"), format!("{name}_credential"));
        let named = [name, &file_key, &credential_key].into_iter().filter(|key| section.has(key)).count();
        let inline = section.text(name, |text| decode(text.as_bytes()));
        let file = section.text(&file_key, |text| self.read_file(text));
        let credential = section.text(&credential_key, |text| self.read_credential(text));
        if named > 1 {
            let place = section.place(name);
            section.report.error(
                &place,
                format_args!("is given twice: keep one of `{name}`, `{file_key}` and `{credential_key}`"),
            );
            return None;
        }
        let is_inline = inline.is_some();
        let Located { value, at } = inline.or(file).or(credential)?;
        Some(Key { secret: value, at, inline: is_inline })
    }

    /// True when one of the three ways to give `name` was used, rightly or not.
    pub(super) fn is_named(section: &Section<'_>, name: &str) -> bool {
        ["", "_file", "_credential"].iter().any(|way| section.has(&format!("{name}{way}")))
    }

    fn read_file(&self, text: &str) -> Result<Secret, String> {
        let path = self.base.join(text);
        let shown = path.display();
        let mut file = open(&path).map_err(|error| format!("failed to open {shown}: {}", reason(&error)))?;
        let meta = file.metadata().map_err(|error| format!("failed to stat {shown}: {}", reason(&error)))?;
        if !meta.is_file() {
            return Err(format!("{shown} is not a regular file"));
        }
        if meta.mode() & 0o077 != 0 {
            let mode = meta.mode() & 0o7777;
            return Err(format!("{shown} is open to group or others (mode {mode:04o}): chmod 600 it"));
        }
        if meta.uid() != 0 && meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(format!(
                "{shown} belongs to uid {}: it must belong to root or to the agent",
                meta.uid()
            ));
        }
        contents(&mut file).map_err(|text| format!("{shown}: {text}"))
    }

    /// systemd guards the directory and shows an ACL as group bits: no mode is checked here.
    fn read_credential(&self, name: &str) -> Result<Secret, String> {
        let plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
        if !plain {
            return Err("must be the name of a systemd credential, without a slash".to_owned());
        }
        let directory = self.credentials.as_ref();
        let directory = directory
            .ok_or("no credentials are there: start the agent by a systemd unit with LoadCredential=")?;
        let mut file = open(&directory.join(name))
            .map_err(|error| format!("failed to open credential {name}: {}", reason(&error)))?;
        contents(&mut file).map_err(|text| format!("credential {name}: {text}"))
    }
}

/// A FIFO must not hold up the agent, hence `O_NONBLOCK`.
fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path)
}

fn contents(file: &mut File) -> Result<Secret, String> {
    // Large enough from the start: a growing buffer would leave copies behind.
    let mut bytes = Zeroizing::new(vec![0; FILE_LIMIT + 1]);
    let mut filled = 0;
    loop {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("failed to read it: {}", reason(&error))),
        }
    }
    if filled > FILE_LIMIT {
        return Err(format!("is longer than {FILE_LIMIT} bytes: not a key"));
    }
    decode(bytes.get(..filled).unwrap_or_default())
}

/// Hex digits with an optional `0x`, white space around them.
fn decode(text: &[u8]) -> Result<Secret, String> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    if digits.is_empty() {
        return Err("holds no key: expected hex digits".to_owned());
    }
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err("must be hex digits only, with an optional 0x in front".to_owned());
    }
    let bytes = const_hex::decode(digits).map_err(|_| "has an odd number of hex digits".to_owned())?;
    if bytes.iter().all(|byte| *byte == 0) {
        // A kernel in lockdown shows every key as zeros: such a key could not be told from a hidden one.
        return Err("is all zeros: take a random key".to_owned());
    }
    Ok(Secret::new(bytes))
}

fn reason(error: &io::Error) -> String {
    let known =
        [(io::ErrorKind::NotFound, "no such file"), (io::ErrorKind::PermissionDenied, "permission denied")];
    let text = known.iter().find(|(kind, _)| *kind == error.kind()).map(|(_, text)| (*text).to_owned());
    text.unwrap_or_else(|| error.to_string().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn hex_is_read_in_its_usual_forms() {
        for text in ["0x0aFF", "0aff", "  0X0AFF\n"] {
            assert_eq!(decode(text.as_bytes()).expect("a valid key").expose(), [0x0a, 0xff], "{text:?}");
        }
        for text in ["", "0x", "0x123", "zz", "0x00 00", "0000"] {
            assert!(decode(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_key_file_is_read_only_when_it_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let store = KeyStore { base: dir.path().to_owned(), credentials: None };
        std::fs::write(&path, "0a0b\n").unwrap();
        let cases = [(0o600, None), (0o400, None), (0o640, Some("mode 0640")), (0o604, Some("mode 0604"))];
        for (mode, refused) in cases {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let read = store.read_file("a.key");
            match refused {
                None => assert_eq!(read.expect("a private file").expose(), [0x0a, 0x0b], "{mode:o}"),
                Some(text) => assert!(read.expect_err("an open file").contains(text), "{mode:o}"),
            }
        }
    }

    #[test]
    fn what_is_not_a_key_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyStore { base: dir.path().to_owned(), credentials: None };
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        std::fs::write(dir.path().join("long"), vec![b'a'; FILE_LIMIT + 1]).unwrap();
        std::fs::set_permissions(dir.path().join("long"), PermissionsExt::from_mode(0o600)).unwrap();
        for (name, text) in [
            ("none", "no such file"),
            ("fifo", "not a regular file"),
            (".", "not a regular file"),
            ("long", "longer"),
        ] {
            let error = store.read_file(name).expect_err(name);
            assert!(error.contains(text), "{name}: {error}");
        }
    }

    #[test]
    fn a_credential_comes_from_its_directory_only() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("site-b"), "0a0b").unwrap();
        let store = KeyStore { base: PathBuf::new(), credentials: Some(dir.path().to_owned()) };
        assert_eq!(store.read_credential("site-b").expect("a credential").expose(), [0x0a, 0x0b]);
        for name in ["", "..", "../x", "none"] {
            assert!(store.read_credential(name).is_err(), "{name:?}");
        }
        let bare = KeyStore { base: PathBuf::new(), credentials: None };
        assert!(bare.read_credential("site-b").expect_err("no directory").contains("LoadCredential"));
    }
}
