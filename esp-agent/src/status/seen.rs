//! Times as ages.

use crate::snapshot::{FlowRow, Snapshot};
use esp_common::Direction;
use std::time::Duration;

/// A duration in its two largest units, such as `2h 5m`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        (_, _, _) => format!("{days}d {}h", hours % 24),
    }
}

/// How long ago a time of `CLOCK_MONOTONIC` was; 0 is never.
pub(super) fn ago(now_ns: u64, then_ns: u64) -> String {
    match then_ns {
        0 => "never".to_owned(),
        then => span(Duration::from_nanos(now_ns.saturating_sub(then))),
    }
}

/// How long ago a time in seconds since the epoch was; 0 is never.
pub(super) fn ago_s(now_s: u64, then_s: u64) -> String {
    match then_s {
        0 => "never".to_owned(),
        then => span(Duration::from_secs(now_s.saturating_sub(then))),
    }
}

/// When a packet of a tunnel was seen last, in ns of `CLOCK_MONOTONIC`; 0 is never.
pub(super) fn tunnel_last_ns(snapshot: &Snapshot, tunnel: &str, direction: Direction) -> u64 {
    let of_tunnel = |flow: &&FlowRow| flow.tunnel == tunnel && flow.direction == direction;
    snapshot.flows.iter().filter(of_tunnel).map(|flow| flow.last_ns).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        let cases = [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h 0m"), (93_784, "1d 2h")];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn never_and_the_future_are_not_ages() {
        assert_eq!(ago(5_000_000_000, 0), "never");
        assert_eq!(ago(5_000_000_000, 6_000_000_000), "0s");
        assert_eq!(ago_s(100, 40), "1m 0s");
    }
}
