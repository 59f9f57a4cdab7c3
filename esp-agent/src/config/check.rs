//! Relations: what must hold between values that are each valid.

pub(super) mod interface;
pub(super) mod overlap;
pub(super) mod policy;
pub(super) mod sa;
pub(super) mod tunnel;
pub(super) mod unique;
pub(super) mod unprotected;

use super::algo::Transform;
use super::lint::{Lint, LintCode};
use super::raw::tunnel::RawReplay;
use super::report::{At, Located, Report};
use std::net::IpAddr;

/// Reports ends of different families or two equal ends. True when they fit.
fn check_ends(report: &Report, from: &Located<IpAddr>, to: &Located<IpAddr>) -> bool {
    if from.value.is_ipv4() != to.value.is_ipv4() {
        report.error(&to.at, format_args!("is of another family than {}", from.value));
        return false;
    }
    if from.value == to.value {
        report.error(&to.at, "is the same address as the other end");
        return false;
    }
    true
}

fn lint_transform(report: &Report, at: &At, transform: Option<Transform>) {
    if transform.is_some_and(Transform::has_short_icv) {
        report.lint(Lint::new(
            LintCode::ShortIcv,
            at,
            "the ICV is shorter than the algorithm's RFC asks for (RFC 4868, RFC 8221)",
            "drop `icv`, and write hmac(sha256) for sha256, on both sides",
        ));
    }
}

fn lint_replay(report: &Report, replay: &RawReplay) {
    if replay.window < 32 {
        report.lint(Lint::new(
            LintCode::SmallReplayWindow,
            &replay.at,
            "the replay window is below the minimum of 32 packets (RFC 4303 section 3.4.3)",
            "leave it out for 64, or give more where packets arrive out of order",
        ));
    }
}
