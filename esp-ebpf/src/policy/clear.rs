//! Clear text where protection is demanded.

use super::select;
use crate::{Outcome, Packet, Place, Tables, parse::Ip};
use esp_common::{Addr, Guard, Mode, Reason, Rule, RuleTable};

/// `IPPROTO_AH`.
const AH: u8 = 51;
/// `IPPROTO_COMP`.
const IPCOMP: u8 = 108;

/// What a search of one direction found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// The kernel's index of the policy.
    Protect(u32),
    /// Passes in the clear, or is the kernel's to drop.
    Excused,
}

impl Found {
    #[inline(always)] // a match on two registers
    fn of(rule: Option<(u8, u32)>) -> Self {
        match rule {
            None => Self::Nothing,
            Some((verdict, policy)) if Rule::protects(verdict) => Self::Protect(policy),
            Some(_) => Self::Excused,
        }
    }
}

/// A packet from the wire without a secpath: [`Reason::CleartextIn`] if it must have been protected, else `reason`.
///
/// TC does not know yet whether the packet will be delivered here (`in`) or forwarded (`fwd`): it must have been
/// protected when one of the two says so and the other does not let it pass in the clear.
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
    let rules = tables.rules(RuleTable::In);
    if rules.count == 0 {
        return reason.into();
    }
    let fields = select::fields(packet, ip);
    let search = |dir| Found::of(tables.first_rule(RuleTable::In, rules, &fields, dir));
    match (search(Rule::DIR_FWD), search(Rule::DIR_IN)) {
        (Found::Protect(policy), Found::Protect(_) | Found::Nothing)
        | (Found::Nothing, Found::Protect(policy)) => Outcome { policy, ..Reason::CleartextIn.into() },
        (Found::Excused, _) | (_, Found::Excused) | (Found::Nothing, Found::Nothing) => reason.into(),
    }
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
    let rules = tables.rules(RuleTable::Out);
    if rules.count == 0 {
        return reason.into();
    }
    match Found::of(tables.first_rule(RuleTable::Out, rules, &select::fields(packet, ip), Rule::DIR_OUT)) {
        Found::Protect(policy) => Outcome { policy, ..Reason::CleartextOut.into() },
        Found::Excused | Found::Nothing => reason.into(),
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
