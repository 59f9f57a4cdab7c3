//! What stands for the keys of an SA in a file.

use crate::secret::Secret;
use crate::xfrm::model::SaKeys;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 over the salt of the file and the keys, each behind its length: equal keys are known again, and nothing else
/// can be learnt. Random keys cannot be guessed from it; of guessable ones the file's mode is the guard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Print([u8; 32]);

impl Print {
    pub(super) fn of(salt: &Salt, keys: &SaKeys) -> Self {
        let mut digest = Sha256::new().chain_update(salt.0);
        for key in [&keys.aead, &keys.auth, &keys.enc] {
            let key = key.as_ref().map_or(&[][..], Secret::expose);
            digest.update(u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes());
            digest.update(key);
        }
        Self(digest.finalize().into())
    }
}

/// Random, made with the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Salt([u8; 32]);

impl Salt {
    pub(super) fn fresh() -> Self {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).expect("the kernel has random bytes once it has booted");
        Self(salt)
    }
}

macro_rules! as_hex {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&const_hex::encode(self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                const_hex::decode_to_array(text).map(Self).map_err(serde::de::Error::custom)
            }
        }
    };
}

as_hex!(Print);
as_hex!(Salt);
