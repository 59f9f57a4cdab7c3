//! Why a packet got its verdict: every packet ends in exactly one of these at each hook.

use crate::guard::Guard;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $code:literal => $name:ident $label:literal $guard:expr,)+) => {
        /// The counted reason of a packet's verdict. Append only: the number is a map index, the label a metric label.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl Reason {
            /// All reasons, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The metric label.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label),+ }
            }

            /// What the reason means, one sentence.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }

            /// The guard whose mode decides the verdict; `None` always passes.
            #[inline(always)] // folds into the caller's match: a call would spill its live registers
            #[must_use]
            pub const fn guard(self) -> Option<Guard> {
                match self { $(Self::$name => $guard),+ }
            }
        }
    };
}

reasons! {
    /// Neither IPv4 nor IPv6 (ARP, LLDP and the like).
    0 => NotIp "not_ip" None,
    /// IP, but neither ESP nor IKE.
    1 => NotEsp "not_esp" None,
    /// IKE: UDP port 500, or port 4500 behind the non-ESP marker (RFC 3948).
    2 => Ike "ike" None,
    /// NAT keepalive: one 0xFF byte on UDP port 4500 (RFC 3948).
    3 => NatKeepalive "nat_keepalive" None,
    /// A fragment other than the first: it carries no SPI.
    4 => Fragment "fragment" None,
    /// The frame ends before its headers do, or an ESP header is cut short.
    5 => Truncated "truncated" None,
    /// A header contradicts itself (length below its minimum, version, an IPv4-mapped address in an IPv6 header).
    6 => Malformed "malformed" None,
    /// More IPv6 extension headers than the parser follows.
    7 => ChainTooLong "chain_too_long" None,
    /// ESP of an SA that the kernel has.
    8 => EspKnown "esp_known" None,
    /// ESP of no SA of ours that is not for one of our addresses: in transit, or leaving.
    9 => EspForeign "esp_foreign" None,
    /// ESP to one of our addresses whose SPI no SA has.
    10 => UnknownSpi "unknown_spi" Some(Guard::UnknownSpi),
    /// ESP whose SPI is not known while our picture of the kernel's SAs is incomplete: passed.
    11 => UnknownUnsynced "unknown_unsynced" None,
    /// ESP to one of our addresses with SPI 0, which never is on the wire (RFC 4303 section 2.1).
    12 => SpiZero "spi_zero" Some(Guard::UnknownSpi),
    /// ESP to one of our addresses with an SPI of 1 to 255, reserved by IANA, and no SA has it.
    13 => SpiReserved "spi_reserved" Some(Guard::UnknownSpi),
    /// ESP at TC ingress that XDP has judged already.
    14 => EspJudged "esp_judged" None,
    /// A decrypted packet that matches the selectors of the policy for its SA.
    15 => Decrypted "decrypted" None,
    /// A decrypted packet whose SA we have no selectors for (picture incomplete, or guard off): passed.
    16 => DecryptedUnchecked "decrypted_unchecked" None,
    /// A decrypted packet outside the selectors of the policy for its SA.
    17 => SelectorMismatch "selector_mismatch" Some(Guard::Selectors),
    /// Clear text from outside that a PROTECT selector says must have been protected.
    18 => CleartextIn "cleartext_in" Some(Guard::CleartextIn),
    /// Clear text on its way out that a PROTECT selector says must be protected.
    19 => CleartextOut "cleartext_out" Some(Guard::CleartextOut),
    /// ESP to one of our addresses with a reserved SPI that the configuration names as that of ESP echo.
    20 => EspPing "esp_ping" None,
    /// ESP of an SA beyond the budget of each SA: dropped.
    21 => SaBudget "sa_budget" None,
    /// ESP of an SA beyond the budget of each peer: dropped.
    22 => PeerBudget "peer_budget" None,
    /// ESP to one of our addresses whose SPI no SA has, beyond the budget of all such: dropped.
    23 => UnknownBudget "unknown_budget" None,
}

/// Room for reasons in the counter map: more than there are, so that a new one does not change its layout.
pub const REASON_SLOTS: usize = 32;

impl Reason {
    /// The number that maps store.
    #[must_use]
    pub const fn as_raw(self) -> u8 {
        self as u8
    }

    /// True for a packet beyond a budget: it is dropped whatever the guards do, since the configuration alone decides.
    #[inline(always)] // a compare
    #[must_use]
    pub const fn is_over_budget(self) -> bool {
        matches!(self, Self::SaBudget | Self::PeerBudget | Self::UnknownBudget)
    }
}

const _: () = assert!(Reason::ALL.len() <= REASON_SLOTS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_labels_are_unique() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(usize::from(reason.as_raw()), index, "{reason:?}");
            let twins = Reason::ALL.iter().filter(|other| other.label() == reason.label()).count();
            assert_eq!(twins, 1, "{}", reason.label());
        }
    }
}
