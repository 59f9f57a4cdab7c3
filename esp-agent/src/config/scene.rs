//! The lints that a configuration has in common with the kernel: its SAs and policies as one scene.

use super::check::tunnel::PlacedTunnel;
use super::desired::{KeyedSa, NamedPolicy};
use super::lint::{Lint, LintCode};
use super::report::{At, Located, Report};
use crate::lint::{Facts, Scene, Subject};
use crate::xfrm::model::{ObservedPolicy, ObservedSa};

/// Lints what SAs and policies are to each other. What was said of a single value, with its own line, is not said again.
pub(super) fn lint(
    tunnels: &[PlacedTunnel],
    sas: &[Located<KeyedSa>],
    policies: &[Located<NamedPolicy>],
    report: &Report,
) {
    let derived =
        tunnels.iter().flat_map(|placed| placed.tunnel.sas.iter().map(move |keyed| (keyed, &placed.at)));
    let of_tunnels = derived.clone().count();
    let sas: Vec<(ObservedSa, &At)> = derived
        .chain(sas.iter().map(|keyed| (&keyed.value, &keyed.at)))
        .map(|(keyed, at)| (ObservedSa::fresh(keyed.sa.clone()), at))
        .collect();
    let derived =
        tunnels.iter().flat_map(|placed| placed.tunnel.policies.iter().map(move |named| (named, &placed.at)));
    let policies: Vec<(ObservedPolicy, &At)> = derived
        .chain(policies.iter().map(|named| (&named.value, &named.at)))
        .map(|(named, at)| {
            (ObservedPolicy { policy: named.policy.clone(), index: 0, added_s: 0, used_s: 0 }, at)
        })
        .collect();
    let (sas, sa_at): (Vec<_>, Vec<_>) = sas.into_iter().unzip();
    let (policies, policy_at): (Vec<_>, Vec<_>) = policies.into_iter().unzip();
    let facts = Facts {
        // An IKE daemon brings the SAs of a file that has none.
        all_sas: !sas.is_empty(),
        all_policies: true,
        forwarding: None,
        locals: Vec::new(),
        now_s: None,
    };
    for finding in (Scene { sas: &sas, policies: &policies, facts: &facts }).findings() {
        let said = match (finding.code, finding.subject) {
            (LintCode::SmallReplayWindow | LintCode::MissingFwd, _) => true,
            (LintCode::SameSpi, Subject::Sa(index)) => index < of_tunnels,
            _ => false,
        };
        let at = match finding.subject {
            Subject::Sa(index) => sa_at.get(index),
            Subject::Policy(index) => policy_at.get(index),
        };
        if let (false, Some(at)) = (said, at) {
            let reason = format!("{}: {}", finding.object, finding.reason);
            report.lint(Lint::new(finding.code, at, &reason, &finding.fix));
        }
    }
}
