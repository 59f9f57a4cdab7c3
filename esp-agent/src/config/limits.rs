//! Limits of the datapath that a configuration as a whole can pass, and policies that lack their twin.

use super::check::tunnel::PlacedTunnel;
use super::desired::{KeyedSa, NamedPolicy};
use super::lint::{Lint, LintCode};
use super::report::{At, Located, Report};
use super::valid::Sizes;
use crate::xfrm::model::{Mode, PolicyDir, PolicyId};
use esp_common::names;

/// Reports what has no room, and lints what turns a guard off.
pub(super) fn check(
    sizes: &Located<Sizes>,
    tunnels: &[PlacedTunnel],
    sas: &[Located<KeyedSa>],
    policies: &[Located<NamedPolicy>],
    report: &Report,
) {
    let sa_count = sas.len() + tunnels.iter().map(|placed| placed.tunnel.sas.len()).sum::<usize>();
    if sa_count > sizes.value.sas as usize {
        let text =
            format_args!("{} entries are too few for the {sa_count} SAs of this file", sizes.value.sas);
        report.error(&sizes.at, text);
    }
    // The first entry of the datapath's table stands for "no tunnel".
    if tunnels.len() >= names::TUNNELS as usize {
        report.error(&whole("tunnel"), format_args!("there can be {} tunnels at most", names::TUNNELS - 1));
    }
    lint_policies(tunnels, policies, report);
    lint_selectors(tunnels, report);
    lint_missing_fwd(policies, report);
}

fn whole(path: &str) -> At {
    At { path: path.to_owned(), line: 1 }
}

fn lint_policies(tunnels: &[PlacedTunnel], policies: &[Located<NamedPolicy>], report: &Report) {
    let derived = tunnels.iter().flat_map(|placed| &placed.tunnel.policies);
    let all = derived.chain(policies.iter().map(|policy| &policy.value));
    let mut counts = [0_usize; 3];
    all.for_each(|named| counts[named.policy.id.dir as usize] += 1);
    if counts.iter().any(|count| *count > names::RULES as usize) {
        let reason = format!(
            "the clear-text guards check {} policies in a direction; with more they are off",
            names::RULES
        );
        let fix = "write fewer and larger networks";
        report.lint(Lint::new(LintCode::TooManyPolicies, &whole("policy"), &reason, fix));
    }
}

fn lint_selectors(tunnels: &[PlacedTunnel], report: &Report) {
    let limit = names::INNER_RULES_PER_SA as usize;
    for placed in tunnels {
        let inbound = placed.tunnel.policies.iter().filter(|named| named.policy.id.dir != PolicyDir::Out);
        if inbound.count() > limit {
            let reason = format!("the selectors guard checks {limit} policies of an SA; with more it is off");
            let fix = "write fewer and larger networks, or two tunnels";
            report.lint(Lint::new(LintCode::TooManySelectors, &placed.nets_at, &reason, fix));
        }
    }
}

/// A decrypted packet that is forwarded needs `fwd`; with `in` alone the kernel drops it silently.
fn lint_missing_fwd(policies: &[Located<NamedPolicy>], report: &Report) {
    for Located { value, at } in policies {
        let tunnels = value.policy.templates.iter().any(|template| template.mode == Mode::Tunnel);
        let twin = PolicyId { dir: PolicyDir::Fwd, ..value.policy.id.clone() };
        let has_twin = policies.iter().any(|other| other.value.policy.id == twin);
        if value.policy.id.dir == PolicyDir::In && tunnels && !has_twin {
            report.lint(Lint::new(
                LintCode::MissingFwd,
                at,
                "an `in` policy without `fwd`: decrypted packets for a network behind this host are dropped",
                "add the same policy with dir = \"fwd\", or write a [[tunnel]]",
            ));
        }
    }
}
