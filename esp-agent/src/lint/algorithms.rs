//! What RFC 8221 says of the algorithms of an SA (sections 4 to 6), by the kernel's names.

use super::code::LintCode;
use crate::xfrm::model::{AH, ESP, Sa};

/// A verdict on the suite of an SA: code, reason, fix.
pub(super) type Verdict = (LintCode, String, &'static str);

const MODERN: &str = "use cbc(aes) with hmac(sha256), or rfc4106(gcm(aes)) with an IKE daemon";

/// Names without the mode, as `cbc(des)` and `hmac(md5)` are written in old set-ups too.
const FORBIDDEN: [(&[&str], &str); 3] = [
    (&["cbc(des)", "des"], "DES MUST NOT be used (RFC 8221 section 5)"),
    (&["cbc(blowfish)", "blowfish"], "Blowfish MUST NOT be used (RFC 8221 section 5)"),
    (&["hmac(md5)", "md5"], "HMAC-MD5 MUST NOT be used (RFC 8221 section 6)"),
];

const WEAK: [(&[&str], &str); 2] = [
    (
        &["cbc(des3_ede)", "des3_ede"],
        "3DES SHOULD NOT be used: its blocks of 64 bits collide (RFC 8221 section 5)",
    ),
    (&["hmac(sha1)", "sha1"], "HMAC-SHA-1 is a MUST that is expected to fall (RFC 8221 section 6)"),
];

/// All that is to be said of the suite of `sa`.
pub(super) fn verdicts(sa: &Sa) -> Vec<Verdict> {
    let suite = &sa.suite;
    let names: Vec<&str> =
        [&suite.aead, &suite.enc, &suite.auth].into_iter().flatten().map(|algo| algo.name.as_str()).collect();
    let said = |table: &[(&[&str], &str)], code| -> Vec<Verdict> {
        let hit = |(known, _): &&(&[&str], &str)| known.iter().any(|name| names.contains(name));
        table.iter().filter(hit).map(|(_, reason)| (code, (*reason).to_owned(), MODERN)).collect()
    };
    let mut found = said(&FORBIDDEN, LintCode::ForbiddenAlgorithm);
    found.extend(said(&WEAK, LintCode::WeakAlgorithm));
    found.extend(coverage(sa));
    found
}

/// Encryption without integrity, integrity without encryption.
fn coverage(sa: &Sa) -> Option<Verdict> {
    let suite = &sa.suite;
    let null = |name: &str| name == "ecb(cipher_null)" || name == "cipher_null";
    let no_auth = suite.aead.is_none() && suite.auth.as_ref().is_none_or(|auth| auth.name == "digest_null");
    let encrypts = suite.enc.as_ref().is_some_and(|enc| !null(&enc.name));
    let gmac = suite.aead.as_ref().is_some_and(|aead| aead.name == "rfc4543(gcm(aes))");
    if sa.id.proto == ESP && encrypts && no_auth {
        let reason = "what is not authenticated can be changed on its way, and its plain text guessed (RFC 8221 section 4)";
        return Some((LintCode::NoIntegrity, reason.to_owned(), "add hmac(sha256)"));
    }
    let clear = gmac || suite.enc.as_ref().is_some_and(|enc| null(&enc.name));
    (sa.id.proto != AH && clear).then(|| {
        let reason = "packets are authenticated and anyone on the way can read them";
        (LintCode::NoEncryption, reason.to_owned(), MODERN)
    })
}
