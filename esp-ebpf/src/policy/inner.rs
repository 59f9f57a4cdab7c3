//! Decrypted packets: only what the policies for the SA select may come through it (RFC 4301 section 5.2, step 4).

use super::select;
use crate::{
    Outcome, Packet, Place, Tables,
    parse::{Ip, Upper, upper},
};
use esp_common::{FlowKey, Guard, InnerKey, Mode, Reason, names::INNER_RULES_PER_SA};

/// Checks a packet against the selectors of the SA that it came through.
#[inline(always)] // five arguments and a larger result than a BPF call returns
pub fn inner<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    place: &Place<'_>,
    ip: &Ip,
    sa: &InnerKey,
) -> Outcome {
    if place.settings.mode(Guard::Selectors) == Mode::Off {
        return Reason::DecryptedUnchecked.into();
    }
    let Some(range) = tables.inner(sa).filter(|range| range.count <= INNER_RULES_PER_SA) else {
        return Reason::DecryptedUnchecked.into();
    };
    let fields = select::fields(packet, ip);
    if tables.inner_selects(range, &fields) {
        return Reason::Decrypted.into();
    }
    if !place.settings.trusted(place.now_ns) {
        return Reason::DecryptedUnchecked.into();
    }
    if is_nested(packet, tables, place, ip) {
        return Reason::DecryptedUnchecked.into();
    }
    let policy = if range.count == 0 { 0 } else { tables.inner_policy(range.first) };
    Outcome { policy, ..Reason::SelectorMismatch.into() }
}

/// ESP inside ESP that an SA of ours will decrypt further: the policy is for what comes out in the end, and the kernel
/// looks for none before (`no_policy` in `esp4_protocol`, `INET6_PROTO_NOPOLICY` in `esp6_protocol`).
#[inline(always)] // packet pointers do not survive a call
fn is_nested<P: Packet, T: Tables>(packet: &P, tables: &T, place: &Place<'_>, ip: &Ip) -> bool {
    match upper(packet, ip, &place.settings.wire) {
        Ok(Upper::Esp(esp) | Upper::EspInUdp { esp, .. }) => {
            tables.sa(&FlowKey::new(ip.dst, esp.spi)).is_some()
        }
        Ok(Upper::Ike | Upper::Keepalive | Upper::Fragment | Upper::Other) | Err(_) => false,
    }
}
