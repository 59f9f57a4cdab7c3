//! The suites that `keygen` and `pair` make keys for: what RFC 8221 asks for, with the key lengths that are in use.

use clap::ValueEnum;

/// A transform with the length of its keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Suite {
    /// AES-GCM (RFC 4106) with a key of 128 bits and its salt.
    #[value(name = "aes-gcm-128")]
    AesGcm128,
    /// AES-GCM (RFC 4106) with a key of 256 bits and its salt.
    #[default]
    #[value(name = "aes-gcm-256")]
    AesGcm256,
    /// ChaCha20-Poly1305 (RFC 7634), key and salt.
    #[value(name = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// AES-CBC (RFC 3602) with 128 bits and HMAC-SHA-256-128 (RFC 4868).
    #[value(name = "aes-cbc-128-sha256")]
    AesCbc128Sha256,
    /// AES-CBC (RFC 3602) with 256 bits and HMAC-SHA-256-128 (RFC 4868).
    #[value(name = "aes-cbc-256-sha256")]
    AesCbc256Sha256,
    /// AES-CBC (RFC 3602) with 256 bits and HMAC-SHA-512-256 (RFC 4868).
    #[value(name = "aes-cbc-256-sha512")]
    AesCbc256Sha512,
}

/// One key of a suite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeySlot {
    /// The key's name in a configuration.
    pub name: &'static str,
    /// Ending of a file that holds it alone.
    pub ending: &'static str,
    /// Bytes, salt included.
    pub bytes: usize,
}

const ENCRYPTION: &str = "encryption_key";
const INTEGRITY: &str = "integrity_key";

impl Suite {
    /// The keys of one direction.
    #[must_use]
    pub fn slots(self) -> Vec<KeySlot> {
        let combined = |bytes| vec![KeySlot { name: "key", ending: "key", bytes }];
        let separate = |enc, auth| {
            vec![
                KeySlot { name: ENCRYPTION, ending: "enc", bytes: enc },
                KeySlot { name: INTEGRITY, ending: "auth", bytes: auth },
            ]
        };
        match self {
            Self::AesGcm128 => combined(20),
            Self::AesGcm256 | Self::ChaCha20Poly1305 => combined(36),
            Self::AesCbc128Sha256 => separate(16, 32),
            Self::AesCbc256Sha256 => separate(32, 32),
            Self::AesCbc256Sha512 => separate(32, 64),
        }
    }

    /// The lines of a configuration that choose its algorithms.
    #[must_use]
    pub const fn lines(self) -> &'static str {
        match self {
            Self::AesGcm128 | Self::AesGcm256 => "aead = \"rfc4106(gcm(aes))\"\n",
            Self::ChaCha20Poly1305 => "aead = \"rfc7539esp(chacha20,poly1305)\"\n",
            Self::AesCbc128Sha256 | Self::AesCbc256Sha256 => {
                "encryption = \"cbc(aes)\"\nintegrity = \"hmac(sha256)\"\n"
            }
            Self::AesCbc256Sha512 => "encryption = \"cbc(aes)\"\nintegrity = \"hmac(sha512)\"\n",
        }
    }
}
