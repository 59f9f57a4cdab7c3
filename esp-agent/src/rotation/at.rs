//! When something is to happen: clocks that step must neither lose nor hasten it.

use crate::clock;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The clocks at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Now {
    /// Milliseconds since the epoch: an operator may set it.
    pub wall_ms: u64,
    /// Milliseconds of CLOCK_BOOTTIME: never set, and begins anew with each boot.
    pub boot_ms: u64,
    /// Which boot.
    pub boot_id: String,
}

impl Now {
    /// Reads the clocks.
    #[must_use]
    pub fn read(boot_id: &str) -> Self {
        Self { wall_ms: clock::unix_ms(), boot_ms: clock::boot_ms(), boot_id: boot_id.to_owned() }
    }
}

/// A moment to come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deadline {
    wall_ms: u64,
    /// Set when the operator named a span and not a time of day: then the wall clock counts after a reboot only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<(String, u64)>,
}

impl Deadline {
    /// At a time of day, in ms since the epoch.
    #[must_use]
    pub const fn at(wall_ms: u64) -> Self {
        Self { wall_ms, boot: None }
    }

    /// After a span.
    #[must_use]
    pub fn after(now: &Now, span: Duration) -> Self {
        let ms = millis(span);
        let boot = (now.boot_id.clone(), now.boot_ms.saturating_add(ms));
        Self { wall_ms: now.wall_ms.saturating_add(ms), boot: Some(boot) }
    }

    /// How long it still is.
    #[must_use]
    pub fn wait(&self, now: &Now) -> Duration {
        let ms = match &self.boot {
            Some((boot_id, boot_ms)) if *boot_id == now.boot_id => boot_ms.saturating_sub(now.boot_ms),
            Some(_) | None => self.wall_ms.saturating_sub(now.wall_ms),
        };
        Duration::from_millis(ms)
    }

    /// The time of day, in ms since the epoch, as it was expected when it was set.
    #[must_use]
    pub const fn wall_ms(&self) -> u64 {
        self.wall_ms
    }
}

/// Whole milliseconds.
pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall_ms: u64, boot_ms: u64, boot_id: &str) -> Now {
        Now { wall_ms, boot_ms, boot_id: boot_id.into() }
    }

    #[test]
    fn a_span_does_not_care_for_the_wall_clock_until_the_reboot() {
        let deadline = Deadline::after(&now(1_000_000, 500, "a"), Duration::from_secs(10));
        let ms = Duration::from_millis;
        for (at, wanted) in [
            (now(1_000_000, 500, "a"), 10_000),
            (now(9_000_000, 1_500, "a"), 9_000),
            (now(0, 10_500, "a"), 0),
            (now(1_004_000, 20, "b"), 6_000),
            (now(1_020_000, 20, "b"), 0),
        ] {
            assert_eq!(deadline.wait(&at), ms(wanted), "{at:?}");
        }
    }

    #[test]
    fn a_time_of_day_follows_the_wall_clock() {
        let deadline = Deadline::at(1_000_000);
        assert_eq!(deadline.wait(&now(999_000, 0, "a")), Duration::from_secs(1));
        assert_eq!(deadline.wait(&now(1_000_001, 0, "b")), Duration::ZERO);
    }
}
