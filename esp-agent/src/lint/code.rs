//! The list of all lints.

use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $label:literal in $seen:literal: $about:literal,)+) => {
        /// The rules.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum LintCode {
            $(#[doc = $about] $variant,)+
        }

        impl LintCode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in the output.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }

            /// Why it is a bad idea, one sentence.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => $about),+ }
            }

            /// Where it is looked for.
            #[must_use]
            pub const fn seen_by(self) -> &'static str {
                match self { $(Self::$variant => $seen),+ }
            }
        }
    };
}

codes! {
    InlineKey = "inline-key" in "check": "A key stands in the configuration file itself",
    ReadableConfig = "readable-config" in "check": "The configuration file holds keys and others can read it",
    StaticNonce = "static-nonce" in "check": "A counter-mode cipher with a key that survives a restart repeats nonces (RFC 8221 section 3)",
    SameSpi = "same-spi" in "check, --dump, status": "Both directions have the same SPI: captures and counters of one are taken for the other",
    SameKey = "same-key" in "check": "Both directions of a tunnel have the same key",
    GuessableKey = "guessable-key" in "check": "A key with an obvious pattern",
    ShortIntegrityKey = "short-integrity-key" in "check": "An integrity key shorter than its hash (RFC 4868 section 2.1.1)",
    ShortIcv = "short-icv" in "check": "An ICV shorter than the RFC of the algorithm asks for",
    SmallReplayWindow = "small-replay-window" in "check, --dump, status": "An anti-replay window of 0, or below the 32 packets of RFC 4303 section 3.4.3",
    MissingFwd = "missing-fwd" in "check, --dump, status": "An `in` policy without its `fwd` twin: decrypted packets for networks behind the host are dropped",
    RouteLoop = "route-loop" in "check": "A route into the XFRM interface leads to the tunnel's own peer",
    TooManyPolicies = "too-many-policies" in "check": "More policies in one direction than the clear-text guards can check",
    TooManySelectors = "too-many-selectors" in "check": "More selectors on one SA than the selector guard can check",
    NoWayBack = "no-way-back" in "check, --dump, status": "An `out` policy through an SA, and neither `in` nor `fwd` for the answers: they are decrypted and dropped",
    NoState = "no-state" in "check, --dump, status": "An `out` policy demands an SA, and none fits its template",
    DuplicateSa = "duplicate-sa" in "--dump, status": "Two SAs with one destination, SPI and protocol whose marks overlap: which one is found is chance",
    ShadowedPolicy = "shadowed-policy" in "check, --dump, status": "A policy that never matches: one of smaller priority covers all of its selector",
    ForbiddenAlgorithm = "forbidden-algorithm" in "--dump, status": "An algorithm that RFC 8221 says MUST NOT be used",
    WeakAlgorithm = "weak-algorithm" in "check, --dump, status": "An algorithm that RFC 8221 discourages or expects to fall",
    NoIntegrity = "no-integrity" in "--dump, status": "Encryption without integrity (RFC 8221 section 4)",
    NoEncryption = "no-encryption" in "check, --dump, status": "ESP that authenticates and does not encrypt",
    SequenceLifetime = "sequence-lifetime" in "status": "A 32-bit sequence number that runs out within a week at the rate seen, before any lifetime ends the SA (RFC 4303 section 3.3.3)",
    ModePair = "mode-pair" in "check, --dump, status": "Tunnel mode one way and transport mode the other: the same on the wire only if an IPIP tunnel feeds the transport side (RFC 3884)",
}

/// The table of all lints.
#[must_use]
pub fn markdown() -> String {
    let mut table = String::from("| lint | found by | what is wrong |\n|---|---|---|\n");
    for code in LintCode::ALL {
        table += &format!("| `{}` | {} | {} |\n", code.label(), code.seen_by(), code.about());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn labels_are_unique_and_those_of_the_json() {
        let labels: BTreeSet<_> = LintCode::ALL.iter().map(|code| code.label()).collect();
        assert_eq!(labels.len(), LintCode::ALL.len());
        for code in LintCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.label());
        }
    }
}
