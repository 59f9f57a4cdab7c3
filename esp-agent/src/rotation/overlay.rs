//! Puts the keys in force in the place of a tunnel's own.

use super::entry::Entry;
use super::error::RotationError;
use super::keying::{KeySet, Keying};
use crate::config::{Config, KeyedSa, Tunnel};
use crate::xfrm::model::{SaId, SaStart};
use std::net::IpAddr;

/// SPIs of a tunnel of which no rotation is under way, inbound and outbound.
pub(super) fn pair(tunnel: &Tunnel) -> Option<(u32, u32)> {
    let number = |keyed: &KeyedSa| keyed.sa.id.spi.number();
    Some((number(towards(tunnel, tunnel.local)?), number(towards(tunnel, tunnel.remote)?)))
}

/// True when the keys of an entry have the lengths that the tunnel's algorithms take.
pub(super) fn fits(tunnel: &Tunnel, entry: &Entry) -> bool {
    let (inbound, outbound) = entry.in_force();
    let all_fit = |sets: Vec<&KeySet>, dst| {
        towards(tunnel, dst).is_some_and(|keyed| sets.iter().all(|set| set.fits(&keyed.sa.suite)))
    };
    all_fit(inbound, tunnel.local) && all_fit(outbound, tunnel.remote)
}

/// Replaces the SAs of a tunnel by those that are in force.
pub(super) fn lay(tunnel: &mut Tunnel, entry: &Entry) {
    let (inbound, outbound) = entry.in_force();
    let like = |sets: Vec<&KeySet>, dst| -> Vec<KeyedSa> {
        let model = towards(tunnel, dst);
        model.map(|model| sets.iter().map(|set| with_keys(model, set)).collect()).unwrap_or_default()
    };
    tunnel.sas = [like(inbound, tunnel.local), like(outbound, tunnel.remote)].concat();
}

/// The keys of a tunnel that new ones may take the place of.
pub(super) fn check(
    name: &str,
    local: IpAddr,
    new: &Keying,
    config: &Config,
) -> Result<Keying, RotationError> {
    let tunnel = || name.to_owned();
    let found = config.tunnels.iter().find(|tunnel| tunnel.name == name);
    let found = found.ok_or_else(|| RotationError::NoTunnel {
        tunnel: tunnel(),
        known: config.tunnels.iter().map(|tunnel| tunnel.name.clone()).collect(),
    })?;
    if found.local != local {
        return Err(RotationError::OtherSide { tunnel: tunnel(), local, ours: found.local });
    }
    let ends = (towards(found, found.local), towards(found, found.remote));
    let (Some(inbound), Some(outbound)) = ends else {
        return Err(RotationError::NoTunnel { tunnel: tunnel(), known: Vec::new() });
    };
    for (set, keyed, key) in [(&new.inbound, inbound, "in"), (&new.outbound, outbound, "out")] {
        if !set.fits(&keyed.sa.suite) {
            let suite = crate::plan::text::suite_text(&keyed.sa.suite);
            return Err(RotationError::Lengths { tunnel: tunnel(), key, suite });
        }
        let id = SaId { spi: set.spi(), ..keyed.sa.id };
        if config.desired().sas.iter().any(|other| other.sa.id == id) {
            return Err(RotationError::Used { tunnel: tunnel(), spi: set.spi() });
        }
    }
    let old = Keying { inbound: KeySet::of(inbound), outbound: KeySet::of(outbound) };
    if new.shares_key(&old) || new.inbound.shares_key(&new.outbound) {
        return Err(RotationError::SameKey { tunnel: tunnel() });
    }
    Ok(old)
}

fn towards(tunnel: &Tunnel, dst: IpAddr) -> Option<&KeyedSa> {
    tunnel.sas.iter().find(|keyed| keyed.sa.id.dst == dst)
}

fn with_keys(model: &KeyedSa, set: &KeySet) -> KeyedSa {
    let keys = set.keys();
    let mut sa = model.sa.clone();
    (sa.id.spi, sa.keys, sa.start) = (set.spi(), keys.print(), SaStart::default());
    KeyedSa { sa, keys, tunnel: model.tunnel.clone(), device: None }
}
