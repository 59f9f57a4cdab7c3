//! SPIs and keys of a tunnel, and the form in which they are kept and sent.

use crate::config::KeyedSa;
use crate::keys::fresh;
use crate::secret::Secret;
use crate::xfrm::model::{SaKeys, Suite};
use esp_common::Spi;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// SPI and keys of one direction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeySet {
    /// SPI.
    pub spi: u32,
    /// Key and salt of the AEAD.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub aead: Option<Secret>,
    /// Encryption key.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub enc: Option<Secret>,
    /// Authentication key.
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    pub auth: Option<Secret>,
}

/// Of both directions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Keying {
    /// What we receive with.
    pub inbound: KeySet,
    /// What we send with.
    pub outbound: KeySet,
}

impl KeySet {
    /// Of an SA.
    #[must_use]
    pub fn of(keyed: &KeyedSa) -> Self {
        let SaKeys { aead, auth, enc } = keyed.keys.clone();
        Self { spi: keyed.sa.id.spi.number(), aead, enc, auth }
    }

    /// SPI.
    #[must_use]
    pub const fn spi(&self) -> Spi {
        Spi::new(self.spi)
    }

    /// Keys.
    #[must_use]
    pub fn keys(&self) -> SaKeys {
        SaKeys { aead: self.aead.clone(), auth: self.auth.clone(), enc: self.enc.clone() }
    }

    /// True when the keys have the lengths of a suite.
    #[must_use]
    pub fn fits(&self, suite: &Suite) -> bool {
        let pairs = [(&self.aead, &suite.aead), (&self.enc, &suite.enc), (&self.auth, &suite.auth)];
        // The null cipher is there and has no key.
        pairs.iter().all(|(key, algo)| {
            let bits = key.as_ref().map_or(0, |key| key.len() * 8);
            bits == algo.as_ref().map_or(0, |algo| algo.key_bits as usize)
        })
    }

    /// True when the two have a key in common.
    #[must_use]
    pub fn shares_key(&self, other: &Self) -> bool {
        let pairs = [(&self.aead, &other.aead), (&self.enc, &other.enc), (&self.auth, &other.auth)];
        pairs.iter().any(|(one, two)| one.is_some() && one == two)
    }
}

impl Keying {
    /// The SPIs, inbound first.
    #[must_use]
    pub const fn pair(&self) -> (u32, u32) {
        (self.inbound.spi, self.outbound.spi)
    }

    /// True when one of the four comparisons finds a key in common.
    #[must_use]
    pub fn shares_key(&self, other: &Self) -> bool {
        let sides = |keying: &Self| [keying.inbound.clone(), keying.outbound.clone()];
        sides(self).iter().any(|one| sides(other).iter().any(|two| one.shares_key(two)))
    }
}

/// Keys as hex digits. Reading borrows the digits from the buffer, which its owner wipes.
mod hex {
    use super::{Deserialize as _, Deserializer, Secret, Serializer, fresh};

    pub(super) fn serialize<S: Serializer>(key: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(key) => to.serialize_some(fresh::hex(key).as_str()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
        let digits = Option::<&'de str>::deserialize(from)?;
        let decode = |digits| const_hex::decode(digits).map(Secret::new);
        // Its own error would show a digit.
        digits.map(decode).transpose().map_err(|_| serde::de::Error::custom("a key is not in hex digits"))
    }
}
