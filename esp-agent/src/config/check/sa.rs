//! Rules of one `[[sa]]`.

use super::{check_ends, lint_encap, lint_replay, lint_transform};
use crate::config::derive::{self, ESP_IN_UDP};
use crate::config::desired::KeyedSa;
use crate::config::raw::sa::RawSa;
use crate::config::report::{Located, Report};
use crate::xfrm::model::{ESP, Encap, Sa, SaId};

/// Checks an SA; `None` when something that it needs is missing.
pub(in crate::config) fn check(raw: RawSa, report: &Report) -> Option<Located<KeyedSa>> {
    lint_transform(report, &raw.transform_at, raw.transform);
    lint_replay(report, &raw.replay);
    if let Some(encap) = &raw.encap {
        lint_encap(report, &encap.at);
    }
    let (src, dst) = (raw.src?, raw.dst?);
    let fits = check_ends(report, &src, &dst);
    let (spi, mode, protection) = (raw.spi?, raw.mode?, raw.protection?);
    let sa = Sa {
        reqid: raw.reqid,
        if_id: raw.if_id,
        suite: protection.suite,
        keys: protection.keys.print(),
        replay_window: raw.replay.window,
        esn: raw.replay.esn,
        flags: derive::sa_flags(mode),
        encap: raw.encap.map(|ports| Encap {
            kind: ESP_IN_UDP,
            sport: ports.near,
            dport: ports.far,
            original: None,
        }),
        ..Sa::bare(SaId { dst: dst.value, spi: spi.value, proto: ESP, mark: raw.mark }, src.value, mode)
    };
    let keyed = KeyedSa { sa, keys: protection.keys, tunnel: raw.tunnel };
    fits.then_some(Located { value: keyed, at: spi.at })
}
