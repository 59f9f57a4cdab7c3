//! Things that must not come twice: names, request ids, identities of SAs and policies.

use super::tunnel::PlacedTunnel;
use crate::config::desired::{KeyedSa, NamedPolicy};
use crate::config::report::{At, Located, Report};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Reports what comes twice, at its second place.
pub(in crate::config) fn check(
    tunnels: &[PlacedTunnel],
    sas: &[Located<KeyedSa>],
    policies: &[Located<NamedPolicy>],
    report: &Report,
) {
    check_tunnels(tunnels, report);
    let mut seen = Seen::new(report);
    for placed in tunnels {
        for (sa, at) in placed.tunnel.sas.iter().zip(&placed.spi_at) {
            let what = format!("SPI {} to {}", sa.sa.id.spi, sa.sa.id.dst);
            seen.add(sa.sa.id, at, &what, "take another SPI");
        }
    }
    for Located { value, at } in sas {
        let what = format!("SPI {} to {}", value.sa.id.spi, value.sa.id.dst);
        seen.add(value.sa.id, at, &what, "take another SPI");
    }
    check_policies(tunnels, policies, report);
    let parts = tunnels.iter().map(|placed| (placed.tunnel.parts.as_slice(), &placed.at));
    super::interface::unique(parts, report);
}

fn check_tunnels(tunnels: &[PlacedTunnel], report: &Report) {
    let mut names = Seen::new(report);
    let mut reqids: BTreeMap<u32, &PlacedTunnel> = BTreeMap::new();
    for placed in tunnels {
        let name = placed.tunnel.name.as_str();
        if !names.add(name.to_owned(), &placed.name_at, &format!("tunnel name `{name}`"), "take another name")
        {
            continue;
        }
        match reqids.get(&placed.tunnel.reqid) {
            None => drop(reqids.insert(placed.tunnel.reqid, placed)),
            Some(first) => report.error(
                &placed.reqid_at,
                format_args!(
                    "tunnels `{}` (line {}) and `{name}` both have reqid {:#x}: set `reqid` in one of them",
                    first.tunnel.name, first.at.line, placed.tunnel.reqid
                ),
            ),
        }
    }
}

fn check_policies(tunnels: &[PlacedTunnel], policies: &[Located<NamedPolicy>], report: &Report) {
    let mut ids = Seen::new(report);
    let mut names = Seen::new(report);
    // Two tunnels with one policy overlap: that is reported already.
    for placed in tunnels {
        for policy in &placed.tunnel.policies {
            ids.places.entry((policy.policy.id.clone(), None)).or_insert(placed.nets_at.line);
            names.places.entry(policy.name.clone()).or_insert(placed.at.line);
        }
    }
    for Located { value, at } in policies {
        ids.add(
            (value.policy.id.clone(), value.device.clone()),
            at,
            "a policy with this direction and selector",
            "change one of them",
        );
        names.add(value.name.clone(), at, &format!("policy name `{}`", value.name), "take another name");
    }
}

struct Seen<'a, K> {
    places: BTreeMap<K, usize>,
    report: &'a Report,
}

impl<'a, K: Ord> Seen<'a, K> {
    fn new(report: &'a Report) -> Self {
        Self { places: BTreeMap::new(), report }
    }

    /// False, and reported, when `key` is there already.
    fn add(&mut self, key: K, at: &At, what: &str, way_out: impl Display) -> bool {
        if let Some(line) = self.places.get(&key) {
            self.report.error(at, format_args!("{what} is on line {line} already: {way_out}"));
            return false;
        }
        self.places.insert(key, at.line);
        true
    }
}
