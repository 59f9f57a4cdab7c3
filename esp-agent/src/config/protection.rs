//! SPI-independent cryptography of one SA: its transform with its keys.

use super::algo::Transform;
use super::key::{Key, KeyStore};
use super::lint::{Lint, LintCode};
use super::report::{At, Report};
use super::section::Section;
use crate::secret::Secret;
use crate::xfrm::model::{SaKeys, Suite};

/// The transform and the keys of an SA.
#[derive(Clone, Debug)]
pub(super) struct Protection {
    pub(super) suite: Suite,
    pub(super) keys: SaKeys,
}

/// Names of the keys: of the AEAD, the encryption, the integrity algorithm.
const NAMES: [&str; 3] = ["key", "encryption_key", "integrity_key"];

impl Protection {
    /// Reads the keys in `section` that `transform` takes. Without a transform the keys are only looked at.
    pub(super) fn read(
        section: &mut Section<'_>,
        transform: Option<Transform>,
        store: &KeyStore,
    ) -> Option<Self> {
        let lengths = transform.map(Transform::key_bytes);
        let [aead, enc, auth] = [0, 1, 2].map(|slot| {
            let name = NAMES.get(slot).copied().unwrap_or_default();
            let wanted = lengths.and_then(|lengths| lengths.get(slot).copied().flatten());
            let key = store.read(section, name);
            let named = KeyStore::is_named(section, name);
            match wanted {
                Some(lengths) if named => key.filter(|key| check_length(section.report, key, lengths)),
                Some(_) => {
                    section.require(name);
                    None
                }
                None if named && transform.is_some() => {
                    section.report.error(&section.place(name), "the algorithms of this SA take no such key");
                    None
                }
                None => None,
            }
        });
        lint_keys(section.report, [&aead, &enc, &auth], transform);
        lint_integrity_key(section.report, auth.as_ref(), transform);
        let secret = |key: Option<Key>| key.map(|key| key.secret);
        let keys = SaKeys { aead: secret(aead), enc: secret(enc), auth: secret(auth) };
        let transform = transform?;
        let [has_aead, has_enc, has_auth] = [&keys.aead, &keys.enc, &keys.auth].map(Option::is_some);
        let [needs_aead, needs_enc, needs_auth] = transform.key_bytes().map(|lengths| lengths.is_some());
        let complete = (has_aead || !needs_aead) && (has_enc || !needs_enc) && (has_auth || !needs_auth);
        complete.then(|| Self { suite: transform.suite(&keys), keys })
    }

    /// True when the two share a key.
    pub(super) fn shares_key(&self, other: &Self) -> bool {
        let pairs = [
            (&self.keys.aead, &other.keys.aead),
            (&self.keys.enc, &other.keys.enc),
            (&self.keys.auth, &other.keys.auth),
        ];
        pairs.iter().any(|(one, two)| one.is_some() && one == two)
    }
}

fn check_length(report: &Report, key: &Key, lengths: &[usize]) -> bool {
    let length = key.secret.len();
    if !lengths.contains(&length) {
        let list: Vec<String> = lengths.iter().map(usize::to_string).collect();
        report.error(&key.at, format_args!("has {length} bytes, the algorithm takes {}", list.join(" or ")));
    }
    lengths.contains(&length)
}

fn lint_keys(report: &Report, keys: [&Option<Key>; 3], transform: Option<Transform>) {
    for key in keys.into_iter().flatten() {
        if key.inline {
            report.lint(Lint::new(
                LintCode::InlineKey,
                &key.at,
                "the key stands in the configuration file",
                "chmod 600 the file, or put the key into one of its own (..._file) or a systemd credential (..._credential)",
            ));
        }
        if is_guessable(&key.secret) {
            report.lint(Lint::new(
                LintCode::GuessableKey,
                &key.at,
                "the key has a pattern that can be guessed",
                "take random bytes: openssl rand -hex LENGTH",
            ));
        }
        if transform.is_some_and(Transform::is_counter_mode) {
            lint_static_nonce(report, &key.at);
        }
    }
}

fn lint_integrity_key(report: &Report, key: Option<&Key>, transform: Option<Transform>) {
    let (Some(key), Some(hash)) = (key, transform.and_then(Transform::full_integrity_key)) else { return };
    if key.secret.len() < hash {
        report.lint(Lint::new(
            LintCode::ShortIntegrityKey,
            &key.at,
            "the key is shorter than its algorithm asks for (RFC 4868 section 2.1.1)",
            "use as many random bytes as the hash has, on both sides",
        ));
    }
}

fn lint_static_nonce(report: &Report, at: &At) {
    report.lint(Lint::new(
        LintCode::StaticNonce,
        at,
        "a counter-mode cipher with a static key gives its plain text away when a nonce comes twice (RFC 8221 \
         section 4.1): the agent keeps the numbers apart across restarts, not across hosts or restored disks",
        "never run one file on two hosts, and give the tunnel new keys with `rotate`; or take cbc(aes)",
    ));
}

/// True for a key that repeats itself or has fewer than half as many different bytes as bytes.
fn is_guessable(key: &Secret) -> bool {
    let bytes = key.expose();
    let repeats =
        (1..=bytes.len() / 2).any(|period| bytes.iter().zip(bytes.iter().skip(period)).all(|(a, b)| a == b));
    let step = bytes.windows(2).map(|pair| pair.iter().fold(0_u8, |a, b| b.wrapping_sub(a)));
    let counts = bytes.len() > 2 && step.clone().zip(step.skip(1)).all(|(a, b)| a == b);
    let distinct: std::collections::BTreeSet<&u8> = bytes.iter().collect();
    repeats || counts || distinct.len() * 2 < bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_seen_and_random_bytes_are_not() {
        let lab = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(2);
        let steps: Vec<u8> = (0..16).map(|step| 0x11_u8.wrapping_mul(step)).collect();
        let random = b"\x1f\x9b\xe2\x07\xc4\x5a\x66\x83\xd1\x2e\x70\xbb\x18\x94\xf5\x3c".to_vec();
        for (name, key, wanted) in [
            ("lab", lab, true),
            ("steps", steps, true),
            ("one byte", vec![7; 32], true),
            ("random", random, false),
        ] {
            assert_eq!(is_guessable(&Secret::new(key)), wanted, "{name}");
        }
    }
}
