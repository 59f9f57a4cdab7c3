//! Key material: no `Debug`, wiped when dropped, compared by digest.

use nix::libc;
use sha2::{Digest as _, Sha256};
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// Key bytes. There is no way to print them; [`Secret::expose`] is the one way in.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over `bytes`; they are wiped when the secret is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        // Best effort, and never undone: another key may lie on the page. `privilege::seal_memory` says what became
        // of locking as a whole.
        // SAFETY: the range is that of a live allocation; locking changes nothing that a program can see.
        unsafe { libc::mlock(bytes.as_ptr().cast(), bytes.len()) };
        Self(Zeroizing::new(bytes))
    }

    /// The bytes. Callers copy them only into buffers that are wiped too.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no key (the null cipher).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

/// Stands for key material where two keys must be told apart but neither may be kept.
///
/// SHA-256 over a random salt of this process and the key: worthless outside the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyPrint {
    /// The salted digest.
    Digest([u8; 32]),
    /// The kernel does not show keys (lockdown: all bytes zero): nothing can be said.
    Hidden,
}

impl KeyPrint {
    /// Of a key as it was read from the kernel or a file.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        static SALT: OnceLock<[u8; 32]> = OnceLock::new();
        if !key.is_empty() && key.iter().all(|byte| *byte == 0) {
            return Self::Hidden;
        }
        let salt = SALT.get_or_init(|| {
            let mut salt = [0; 32];
            getrandom::fill(&mut salt).expect("the kernel has random bytes once it has booted");
            salt
        });
        Self::Digest(Sha256::new().chain_update(salt).chain_update(key).finalize().into())
    }

    /// True unless the two are known to differ.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Hidden, _) | (_, Self::Hidden)) || self == other
    }
}
