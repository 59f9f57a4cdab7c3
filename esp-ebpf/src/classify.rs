//! Which ESP flow a packet belongs to, and whether an SA stands behind it.

use crate::{
    Outcome, Packet, Place, Purse, Tables,
    parse::{Esp, Ip, Upper},
};
use esp_common::{Budgets, Direction, FlowKey, Reason, SeenKey};

/// A packet from the wire, judged for the first time.
#[inline(always)] // six arguments do not fit into the five registers of a BPF call
pub fn inbound<P: Packet, T: Tables>(
    packet: &P,
    tables: &T,
    place: &Place<'_>,
    ip: &Ip,
    upper: &Upper,
) -> Outcome {
    let (esp, to_port) = match *upper {
        Upper::Esp(esp) => (esp, true),
        Upper::EspInUdp { esp, to_port } => (esp, to_port),
        Upper::Ike | Upper::Keepalive | Upper::Fragment | Upper::Other => return plain(upper).into(),
    };
    let spi = esp.spi;
    let reason = match seen(tables, place, packet.len(), ip, esp, Direction::In, to_port) {
        Seen::Known(sa) => return within_budget(tables, place, ip, sa),
        Seen::NotOurs => Reason::NotEsp,
        Seen::Unknown { .. } if !tables.is_local(&ip.dst) => Reason::EspForeign,
        Seen::Unknown { .. } if spi.is_zero() => Reason::SpiZero,
        Seen::Unknown { .. } if place.settings.wire.is_ping(spi.number()) => Reason::EspPing,
        Seen::Unknown { .. } if spi.is_reserved() => Reason::SpiReserved,
        Seen::Unknown { .. } if !place.settings.trusted(place.now_ns) => Reason::UnknownUnsynced,
        Seen::Unknown { first_ns } => match packet.kernel_has(&ip.dst, spi) {
            Some(true) => Reason::EspKnown,
            Some(false) => Reason::UnknownSpi,
            None if place.settings.rules_out(first_ns) => Reason::UnknownSpi,
            None => Reason::UnknownUnsynced,
        },
    };
    let nobodys = matches!(reason, Reason::UnknownSpi | Reason::SpiZero | Reason::SpiReserved);
    let Budgets { unknown_ns, burst_ns, .. } = place.settings.budgets;
    // On an incomplete picture it may be of an SA.
    if nobodys
        && unknown_ns != 0
        && place.settings.trusted(place.now_ns)
        && !tables.spend(Purse::Unknown, unknown_ns, burst_ns, place.now_ns)
    {
        return Reason::UnknownBudget.into();
    }
    reason.into()
}

/// ESP of an SA, unless its peer or it has no budget left. The peer is asked first: what is dropped for it must not cost
/// the SA anything.
#[inline(always)] // two compares where there are no budgets
fn within_budget<T: Tables>(tables: &T, place: &Place<'_>, ip: &Ip, sa: T::Sa) -> Outcome {
    let Budgets { sa_ns, peer_ns, burst_ns, .. } = place.settings.budgets;
    if peer_ns != 0 && !tables.spend(Purse::Peer(&ip.src), peer_ns, burst_ns, place.now_ns) {
        return Reason::PeerBudget.into();
    }
    if sa_ns != 0 && !tables.spend(Purse::Sa(sa), sa_ns, burst_ns, place.now_ns) {
        return Reason::SaBudget.into();
    }
    Outcome::known(tables.slot(sa))
}

/// A packet at TC ingress that XDP has judged: only its kind still matters.
#[inline(always)] // a match on one register, seldom a lookup
pub fn judged<T: Tables>(tables: &T, ip: &Ip, upper: &Upper) -> Reason {
    match *upper {
        Upper::Esp(_) | Upper::EspInUdp { to_port: true, .. } => Reason::EspJudged,
        Upper::EspInUdp { to_port: false, esp } if tables.sa(&FlowKey::new(ip.dst, esp.spi)).is_some() => {
            Reason::EspJudged
        }
        Upper::EspInUdp { to_port: false, .. } => Reason::NotEsp,
        Upper::Ike | Upper::Keepalive | Upper::Fragment | Upper::Other => plain(upper),
    }
}

/// A packet on its way out.
#[inline(always)] // six arguments do not fit into the five registers of a BPF call
pub fn outbound<T: Tables>(tables: &T, place: &Place<'_>, len: u32, ip: &Ip, upper: &Upper) -> Reason {
    let (esp, to_port) = match *upper {
        Upper::Esp(esp) => (esp, true),
        Upper::EspInUdp { esp, to_port } => (esp, to_port),
        Upper::Ike | Upper::Keepalive | Upper::Fragment | Upper::Other => return plain(upper),
    };
    match seen(tables, place, len, ip, esp, Direction::Out, to_port) {
        Seen::Known(_) => Reason::EspKnown,
        Seen::NotOurs => Reason::NotEsp,
        Seen::Unknown { .. } => Reason::EspForeign,
    }
}

/// What is not ESP has its reason from the parser.
#[inline(always)] // a match on one register
fn plain(upper: &Upper) -> Reason {
    match upper {
        Upper::Ike => Reason::Ike,
        Upper::Keepalive => Reason::NatKeepalive,
        Upper::Fragment => Reason::Fragment,
        Upper::Other | Upper::Esp(_) | Upper::EspInUdp { .. } => Reason::NotEsp,
    }
}

enum Seen<Sa> {
    Known(Sa),
    /// Since when.
    Unknown {
        first_ns: u64,
    },
    /// UDP that only left from port 4500: without an SA it is some client's ephemeral port, not ESP.
    NotOurs,
}

/// Counts the flow, for the SA or as a ghost.
#[inline(always)] // as above
fn seen<T: Tables>(
    tables: &T,
    place: &Place<'_>,
    len: u32,
    ip: &Ip,
    esp: Esp,
    direction: Direction,
    to_port: bool,
) -> Seen<T::Sa> {
    let sa = tables.sa(&FlowKey::new(ip.dst, esp.spi));
    let key =
        SeenKey { dst: ip.dst, spi: esp.spi, direction: direction.as_raw(), pad: 0, iface: place.iface };
    let Some(sa) = sa else {
        if !to_port {
            return Seen::NotOurs;
        }
        return Seen::Unknown { first_ns: tables.count_ghost(&key, &ip.src, len, place.now_ns) };
    };
    tables.count_sa(sa, &key, &ip.src, len, place.now_ns);
    tables.see_sequence(sa, &key, esp.seq);
    let tunnel = tables.tunnel(sa);
    if tunnel != 0 {
        tables.count_tunnel(tunnel, direction, len);
    }
    Seen::Known(sa)
}
