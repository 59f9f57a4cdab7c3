//! The closed list of algorithms, with the key and ICV lengths that each takes.

use super::section::Section;
use crate::secret::Secret;
use crate::xfrm::model::{Algo, SaKeys, Suite};

/// How packets of an SA are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Transform {
    /// Encryption and integrity by one algorithm.
    Combined(Aead, u32),
    /// Encryption, then integrity; the number is the ICV in bits.
    Separate(Encryption, Integrity, u32),
    /// AH: integrity alone, with its ICV in bits.
    Authentic(Integrity, u32),
    /// IPComp by DEFLATE (RFC 2394), which has no key.
    Deflate,
}

/// Combined-mode algorithms. Their keys end in a salt of 4 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aead {
    /// RFC 4106.
    AesGcm,
    /// RFC 4543: integrity alone, the payload stays readable.
    AesGmac,
    /// RFC 4309; its salt has 3 bytes.
    AesCcm,
    /// RFC 7634.
    ChaCha20Poly1305,
}

/// Encryption algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Encryption {
    /// RFC 3602.
    AesCbc,
    /// RFC 3686; its key ends in a nonce of 4 bytes.
    AesCtr,
    /// RFC 2410: no encryption, and no key.
    Null,
}

/// Integrity algorithms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Integrity {
    /// The kernel's old name, which cuts the ICV to 96 bits (`aalg_list` in net/xfrm/xfrm_algo.c).
    OldSha256,
    /// RFC 2404.
    HmacSha1,
    /// HMAC-SHA-256 (RFC 4868).
    HmacSha256,
    /// HMAC-SHA-384.
    HmacSha384,
    /// HMAC-SHA-512.
    HmacSha512,
    /// RFC 3566.
    AesXcbc,
    /// RFC 4494.
    AesCmac,
}

/// The only compression that the kernel has (`calg_list` in net/xfrm/xfrm_algo.c names two more).
const DEFLATE: &str = "deflate";

impl Aead {
    const NAMES: [(&'static str, Self); 4] = [
        ("rfc4106(gcm(aes))", Self::AesGcm),
        ("rfc4543(gcm(aes))", Self::AesGmac),
        ("rfc4309(ccm(aes))", Self::AesCcm),
        ("rfc7539esp(chacha20,poly1305)", Self::ChaCha20Poly1305),
    ];

    /// The kernel's GMAC has no shorter ICV (`crypto_rfc4543_setauthsize` in crypto/gcm.c).
    const fn icvs(self) -> &'static [u32] {
        match self {
            Self::AesGcm | Self::AesCcm => &[128, 96, 64],
            Self::AesGmac | Self::ChaCha20Poly1305 => &[128],
        }
    }

    const fn key_bytes(self) -> &'static [usize] {
        match self {
            Self::AesGcm | Self::AesGmac => &[20, 28, 36],
            Self::AesCcm => &[19, 27, 35],
            Self::ChaCha20Poly1305 => &[36],
        }
    }
}

impl Encryption {
    const NAMES: [(&'static str, Self); 3] =
        [("cbc(aes)", Self::AesCbc), ("rfc3686(ctr(aes))", Self::AesCtr), ("ecb(cipher_null)", Self::Null)];

    const fn key_bytes(self) -> Option<&'static [usize]> {
        match self {
            Self::AesCbc => Some(&[16, 24, 32]),
            Self::AesCtr => Some(&[20, 28, 36]),
            Self::Null => None,
        }
    }
}

/// What is known of an integrity algorithm.
struct Hash {
    kernel_name: &'static str,
    /// In bits; the first is the default and what its RFC asks for.
    icvs: &'static [u32],
    key_bytes: &'static [usize],
    /// The key length that its RFC asks for, in bytes.
    full_key: usize,
}

impl Hash {
    const fn new(
        kernel_name: &'static str,
        icvs: &'static [u32],
        key_bytes: &'static [usize],
        full_key: usize,
    ) -> Self {
        Self { kernel_name, icvs, key_bytes, full_key }
    }
}

impl Integrity {
    const NAMES: [(&'static str, Self); 7] = [
        ("hmac(sha256)", Self::HmacSha256),
        ("sha256", Self::OldSha256),
        ("hmac(sha384)", Self::HmacSha384),
        ("hmac(sha512)", Self::HmacSha512),
        ("hmac(sha1)", Self::HmacSha1),
        ("xcbc(aes)", Self::AesXcbc),
        ("cmac(aes)", Self::AesCmac),
    ];

    /// RFC 4868 section 2.1.1 asks for keys as long as the hash. The kernel takes any, and 16 bytes of SHA-256 are
    /// what hand-made set-ups often have.
    const fn hash(self) -> Hash {
        match self {
            Self::OldSha256 => Hash::new("hmac(sha256)", &[96], &[16, 32], 32),
            Self::HmacSha256 => Hash::new("hmac(sha256)", &[128, 96], &[16, 32], 32),
            Self::HmacSha384 => Hash::new("hmac(sha384)", &[192], &[48], 48),
            Self::HmacSha512 => Hash::new("hmac(sha512)", &[256], &[64], 64),
            Self::HmacSha1 => Hash::new("hmac(sha1)", &[96], &[20], 20),
            Self::AesXcbc => Hash::new("xcbc(aes)", &[96], &[16], 16),
            Self::AesCmac => Hash::new("cmac(aes)", &[96], &[16], 16),
        }
    }
}

impl Transform {
    /// Reads `aead`, or `encryption` and `integrity`, and `icv`.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let combined = section.has("aead");
        let aead = section.choice("aead", &Aead::NAMES);
        let encryption = section.choice("encryption", &Encryption::NAMES);
        let integrity = section.choice("integrity", &Integrity::NAMES);
        let mixed = combined && (section.has("encryption") || section.has("integrity"));
        if mixed {
            section.report.error(&section.place("aead"), "stands alone: remove `encryption` and `integrity`");
        }
        if !combined {
            section.require("encryption");
            section.require("integrity");
        }
        let icvs = match (&aead, &integrity) {
            (Some(aead), _) => aead.value.icvs(),
            (None, Some(integrity)) => integrity.value.hash().icvs,
            (None, None) => &[],
        };
        let icv = read_icv(section, icvs);
        match (aead, encryption, integrity) {
            _ if mixed => None,
            (Some(aead), ..) => Some(Self::Combined(aead.value, icv?)),
            (None, Some(encryption), Some(integrity)) if !combined => {
                Some(Self::Separate(encryption.value, integrity.value, icv?))
            }
            (None, ..) => None,
        }
    }

    /// Reads `integrity` and `icv` of an AH SA.
    pub(super) fn read_authentic(section: &mut Section<'_>) -> Option<Self> {
        section.require("integrity");
        let integrity = section.choice("integrity", &Integrity::NAMES);
        let icv = read_icv(section, integrity.as_ref().map_or(&[], |integrity| integrity.value.hash().icvs));
        Some(Self::Authentic(integrity?.value, icv?))
    }

    /// Reads `compression` of an IPComp SA.
    pub(super) fn read_compression(section: &mut Section<'_>) -> Option<Self> {
        section.require("compression");
        section.choice("compression", &[(DEFLATE, Self::Deflate)]).map(|deflate| deflate.value)
    }

    /// Key lengths in bytes of the AEAD, the encryption and the integrity algorithm.
    pub(super) fn key_bytes(self) -> [Option<&'static [usize]>; 3] {
        match self {
            Self::Combined(aead, _) => [Some(aead.key_bytes()), None, None],
            Self::Separate(encryption, integrity, _) => {
                [None, encryption.key_bytes(), Some(integrity.hash().key_bytes)]
            }
            Self::Authentic(integrity, _) => [None, None, Some(integrity.hash().key_bytes)],
            Self::Deflate => [None; 3],
        }
    }

    /// Length in bytes that the RFC of the integrity algorithm asks of its key.
    pub(super) const fn full_integrity_key(self) -> Option<usize> {
        match self {
            Self::Combined(..) | Self::Deflate => None,
            Self::Separate(_, integrity, _) | Self::Authentic(integrity, _) => {
                Some(integrity.hash().full_key)
            }
        }
    }

    /// True when a nonce must never come twice under one key.
    pub(super) const fn is_counter_mode(self) -> bool {
        match self {
            Self::Combined(Aead::AesGcm | Aead::AesGmac | Aead::AesCcm | Aead::ChaCha20Poly1305, _)
            | Self::Separate(Encryption::AesCtr, ..) => true,
            Self::Separate(Encryption::AesCbc | Encryption::Null, ..)
            | Self::Authentic(..)
            | Self::Deflate => false,
        }
    }

    /// True when the ICV is shorter than the RFC of the algorithm asks for.
    pub(super) fn has_short_icv(self) -> bool {
        match self {
            Self::Combined(aead, icv) => aead.icvs().first() != Some(&icv),
            Self::Deflate => false,
            Self::Separate(_, Integrity::OldSha256, _) | Self::Authentic(Integrity::OldSha256, _) => true,
            Self::Separate(_, integrity, icv) | Self::Authentic(integrity, icv) => {
                integrity.hash().icvs.first() != Some(&icv)
            }
        }
    }

    /// The transform as the kernel shows it, with the lengths of `keys`.
    pub(super) fn suite(self, keys: &SaKeys) -> Suite {
        let algo = |name: &str, key: &Option<Secret>, icv_bits| {
            let bytes = key.as_ref().map_or(0, Secret::len);
            Algo { name: name.to_owned(), key_bits: u32::try_from(bytes * 8).unwrap_or(u32::MAX), icv_bits }
        };
        match self {
            Self::Combined(aead, icv) => {
                Suite { aead: Some(algo(name_in(&Aead::NAMES, aead), &keys.aead, icv)), ..Suite::default() }
            }
            Self::Separate(encryption, integrity, icv) => Suite {
                auth: Some(algo(integrity.hash().kernel_name, &keys.auth, icv)),
                enc: Some(algo(name_in(&Encryption::NAMES, encryption), &keys.enc, 0)),
                ..Suite::default()
            },
            Self::Authentic(integrity, icv) => {
                Suite { auth: Some(algo(integrity.hash().kernel_name, &keys.auth, icv)), ..Suite::default() }
            }
            Self::Deflate => Suite { comp: Some(algo(DEFLATE, &None, 0)), ..Suite::default() },
        }
    }
}

/// An algorithm as docs/options.md lists it.
pub(super) struct AlgoRow {
    pub(super) key: &'static str,
    pub(super) name: &'static str,
    pub(super) key_bytes: &'static [usize],
    pub(super) icvs: &'static [u32],
}

/// All algorithms.
pub(super) fn rows() -> Vec<AlgoRow> {
    let aead = Aead::NAMES.iter().map(|(name, aead)| AlgoRow {
        key: "aead",
        name,
        key_bytes: aead.key_bytes(),
        icvs: aead.icvs(),
    });
    let encryption = Encryption::NAMES.iter().map(|(name, encryption)| AlgoRow {
        key: "encryption",
        name,
        key_bytes: encryption.key_bytes().unwrap_or_default(),
        icvs: &[],
    });
    let integrity = Integrity::NAMES.iter().map(|(name, integrity)| AlgoRow {
        key: "integrity",
        name,
        key_bytes: integrity.hash().key_bytes,
        icvs: integrity.hash().icvs,
    });
    let compression = AlgoRow { key: "compression", name: DEFLATE, key_bytes: &[], icvs: &[] };
    aead.chain(encryption).chain(integrity).chain([compression]).collect()
}

/// `icv`, in bits, or the first of `allowed`. Nothing can be said when the algorithm is unknown.
fn read_icv(section: &mut Section<'_>, allowed: &[u32]) -> Option<u32> {
    let typed = section.has("icv");
    let icv = section.number("icv", 0..=u64::from(u32::MAX));
    let default = *allowed.first()?;
    if !typed {
        return Some(default);
    }
    let icv = icv?;
    let known = allowed.iter().copied().find(|bits| u64::from(*bits) == icv.value);
    if known.is_none() {
        let list: Vec<String> = allowed.iter().map(u32::to_string).collect();
        section
            .report
            .error(&icv.at, format_args!("this algorithm has an ICV of {} bits", list.join(" or ")));
    }
    known
}

fn name_in<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, known)| *known == value).map_or("", |(name, _)| name)
}
