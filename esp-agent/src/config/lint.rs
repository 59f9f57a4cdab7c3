//! Lints: what is allowed and still a bad idea.

use super::report::At;
use serde::Serialize;
use std::fmt;

/// A warning about a valid configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lint {
    /// Which rule.
    pub code: LintCode,
    /// Key path.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Why it is a bad idea.
    pub reason: String,
    /// What to do instead.
    pub fix: String,
}

impl Lint {
    pub(super) fn new(code: LintCode, at: &At, reason: &str, fix: &str) -> Self {
        Self { code, path: at.path.clone(), line: at.line, reason: reason.to_owned(), fix: fix.to_owned() }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "lint {}: {}: {}", self.code.label(), self.reason, self.fix)
    }
}

/// The rules.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LintCode {
    /// A key stands in the configuration file itself, and others can read that.
    InlineKey,
    /// The configuration file holds keys and others can read it.
    ReadableConfig,
    /// A counter-mode cipher with a key that survives a restart.
    StaticNonce,
    /// Both directions of a tunnel have the same SPI.
    SameSpi,
    /// Both directions of a tunnel have the same key.
    SameKey,
    /// A key with an obvious pattern.
    GuessableKey,
    /// An integrity key shorter than its hash.
    ShortIntegrityKey,
    /// An ICV shorter than the RFC of the algorithm asks for.
    ShortIcv,
    /// A replay window below the minimum of RFC 4303.
    SmallReplayWindow,
    /// UDP encapsulation without anything that opens its socket.
    EncapSocket,
    /// An `in` policy without its `fwd` twin.
    MissingFwd,
    /// More policies in one direction than the clear-text guards can check.
    TooManyPolicies,
    /// More selectors on one SA than the selector guard can check.
    TooManySelectors,
}

impl LintCode {
    /// The name in the output.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::InlineKey => "inline-key",
            Self::ReadableConfig => "readable-config",
            Self::StaticNonce => "static-nonce",
            Self::SameSpi => "same-spi",
            Self::SameKey => "same-key",
            Self::GuessableKey => "guessable-key",
            Self::ShortIntegrityKey => "short-integrity-key",
            Self::ShortIcv => "short-icv",
            Self::SmallReplayWindow => "small-replay-window",
            Self::EncapSocket => "encap-socket",
            Self::MissingFwd => "missing-fwd",
            Self::TooManyPolicies => "too-many-policies",
            Self::TooManySelectors => "too-many-selectors",
        }
    }
}
