//! Clear text where protection is demanded.

use super::select;
use crate::{Outcome, Packet, Place, Tables, parse::Ip};
use esp_common::{Addr, Guard, Mode, Reason, RuleTable};

/// `IPPROTO_AH`.
const AH: u8 = 51;
/// `IPPROTO_COMP`.
const IPCOMP: u8 = 108;

/// A packet from the wire without a secpath: [`Reason::CleartextIn`] if it must have been protected, else `reason`.
#[inline(always)] // six arguments do not fit into the five registers of a BPF call
pub fn clear_in<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    place: &Place<'_>,
    ip: &Ip,
    reason: Reason,
) -> Outcome {
    if place.settings.mode(Guard::CleartextIn) == Mode::Off || excused(tables, reason, ip.proto, &ip.dst) {
        return reason.into();
    }
    judged(packet, tables, ip, RuleTable::In, Reason::CleartextIn, reason)
}

/// A packet on its way out that is not ESP of ours: [`Reason::CleartextOut`] if it must be protected, else `reason`.
#[inline(always)] // as above
pub fn clear_out<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    place: &Place<'_>,
    ip: &Ip,
    reason: Reason,
) -> Outcome {
    if place.settings.mode(Guard::CleartextOut) == Mode::Off || excused(tables, reason, ip.proto, &ip.src) {
        return reason.into();
    }
    judged(packet, tables, ip, RuleTable::Out, Reason::CleartextOut, reason)
}

/// `broken` with its policy where the rules demand protection.
#[inline(always)] // as above
fn judged<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    ip: &Ip,
    table: RuleTable,
    broken: Reason,
    reason: Reason,
) -> Outcome {
    if !tables.has_rules(table) {
        return reason.into();
    }
    match tables.demanded(table, &select::fields(packet, ip)) {
        Some(policy) => Outcome { policy, ..broken.into() },
        None => reason.into(),
    }
}

/// ESP, IKE and what belongs to them are no clear text, where the end of it is ours. What others send through us is
/// judged by its addresses like anything else: ESP of a host behind the gateway is that host's payload.
#[inline(always)] // a compare, seldom a lookup
fn excused<T: Tables>(tables: &T, reason: Reason, proto: u8, our_end: &Addr) -> bool {
    match reason {
        Reason::EspKnown => true,
        Reason::Ike
        | Reason::NatKeepalive
        | Reason::EspForeign
        | Reason::EspJudged
        | Reason::UnknownSpi
        | Reason::UnknownUnsynced
        | Reason::SpiZero
        | Reason::SpiReserved
        | Reason::EspPing
        | Reason::SaBudget
        | Reason::PeerBudget
        | Reason::UnknownBudget
        // ESP or NAT-T that is cut short.
        | Reason::Truncated
        | Reason::Malformed
        // A later fragment may be of ESP; where it is not, the first one is judged.
        | Reason::Fragment => tables.is_local(our_end),
        // They are transforms too, and the kernel looks for no policy before it undoes them.
        Reason::NotEsp if proto == AH || proto == IPCOMP => tables.is_local(our_end),
        Reason::NotIp
        | Reason::NotEsp
        | Reason::ChainTooLong
        | Reason::Decrypted
        | Reason::DecryptedUnchecked
        | Reason::SelectorMismatch
        | Reason::CleartextIn
        | Reason::CleartextOut => false,
    }
}
