//! ESP that crosses this host, sent on at XDP.

use crate::{Outcome, Packet, Place, Tables, parse::Fragmented};
use esp_common::{Reason, RuleTable, Transit};

/// Forwards a packet that passes, if it is a plain case of what is asked for; whether it did.
///
/// The stack would ask XFRM's policies before it forwards. Where there are any it is left to them.
#[inline(always)] // packet pointers do not survive a call
pub fn forwarded<P: Packet, T: Tables>(packet: &P, tables: &T, place: &Place<'_>, outcome: &Outcome) -> bool {
    let transit = Transit::from_raw(place.settings.transit);
    let Some(ip) = outcome.ip.as_ref() else {
        return false;
    };
    if transit == Transit::Off || ip.fragment != Fragmented::No {
        return false;
    }
    let foreign = outcome.reason == Reason::EspForeign && transit == Transit::All;
    let known = || outcome.reason == Reason::EspKnown && !tables.is_local(&ip.dst);
    (foreign || known())
        && !tables.has_rules(RuleTable::In)
        && !tables.has_rules(RuleTable::Out)
        && packet.forward(ip)
}
