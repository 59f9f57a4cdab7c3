//! The generations of one tunnel. Nothing here touches a clock, a file or the kernel.

use super::at::{Deadline, Now, millis};
use super::keying::{KeySet, Keying};
use esp_common::Spi;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long both outbound SAs are there, at least: a packet that has chosen the old one is dropped when that is gone before it
/// has been through it (`xfrm_output_one`: XfrmOutStateInvalid).
const SWITCHING: Duration = Duration::from_millis(500);
/// SPIs that are remembered: years of daily rotations.
const REMEMBERED: usize = 4096;

/// How far a rotation has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The new inbound SA is there.
    Prepared,
    /// Both outbound SAs are there.
    Switching,
    /// The old outbound SA is gone.
    Draining,
    /// Only the new SAs are there.
    Done,
}

/// When a rotation goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// When the outbound SA is switched; by command if there is none.
    pub outbound: Option<Deadline>,
    /// From there on to the removal of the old inbound SA.
    pub grace: Duration,
}

/// One tunnel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Counted from the keys of the configuration, which are 0.
    pub generation: u32,
    /// When it was begun, seconds since the epoch.
    pub begun_s: u64,
    /// The newest keys.
    pub(super) current: Keying,
    /// SPIs, inbound and outbound, of keys that must not be used again, oldest first.
    pub(super) before: Vec<(u32, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) under_way: Option<UnderWay>,
}

/// A rotation that is not done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct UnderWay {
    pub(super) phase: Phase,
    pub(super) old: Keying,
    /// When the next phase begins; by command if there is none.
    pub(super) due: Option<Deadline>,
    pub(super) grace_ms: u64,
}

impl Entry {
    /// A rotation from `old` to `new`; `last` is what was known of the tunnel.
    ///
    /// # Errors
    /// The SPI that was used before.
    pub fn begin(
        last: Option<&Self>,
        old: Keying,
        new: Keying,
        timing: Timing,
        now: &Now,
    ) -> Result<Self, Spi> {
        let mut before = last.map(|last| last.before.clone()).unwrap_or_default();
        for pair in last.map(|last| last.current.pair()).into_iter().chain([old.pair()]) {
            if !before.contains(&pair) {
                before.push(pair);
            }
        }
        let (inbound, outbound) = new.pair();
        for (used_in, used_out) in &before {
            if *used_in == inbound || *used_out == outbound {
                return Err(Spi::new(if *used_in == inbound { inbound } else { outbound }));
            }
        }
        before.drain(..before.len().saturating_sub(REMEMBERED));
        let phase = Phase::Prepared;
        let under_way = UnderWay { phase, old, due: timing.outbound, grace_ms: millis(timing.grace) };
        Ok(Self {
            generation: last.map_or(0, |last| last.generation) + 1,
            begun_s: now.wall_ms / 1000,
            current: new,
            before,
            under_way: Some(under_way),
        })
    }

    /// True when a configuration that names these SPIs, inbound and outbound, has been overtaken.
    #[must_use]
    pub fn overrides(&self, pair: (u32, u32)) -> bool {
        self.before.contains(&pair) || (self.is_under_way() && self.current.pair() == pair)
    }

    /// False once only the new SAs are left.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.under_way.as_ref().map_or(Phase::Done, |under_way| under_way.phase)
    }

    /// How long until the next phase; `None` when nothing but a command brings it.
    #[must_use]
    pub fn wait(&self, now: &Now) -> Option<Duration> {
        Some(self.under_way.as_ref()?.due.as_ref()?.wait(now))
    }

    /// True when the next phase is to begin.
    #[must_use]
    pub fn is_due(&self, now: &Now) -> bool {
        self.wait(now) == Some(Duration::ZERO)
    }

    /// The same one phase on.
    #[must_use]
    pub fn advanced(&self, now: &Now) -> Self {
        let mut next = self.clone();
        let Some(under_way) = &mut next.under_way else { return next };
        let grace = Duration::from_millis(under_way.grace_ms);
        match under_way.phase {
            Phase::Prepared => {
                under_way.phase = Phase::Switching;
                under_way.due = Some(Deadline::after(now, SWITCHING));
            }
            Phase::Switching => {
                under_way.phase = Phase::Draining;
                under_way.due = Some(Deadline::after(now, grace));
            }
            Phase::Draining | Phase::Done => next.under_way = None,
        }
        next
    }

    /// The same with its newest keys given up.
    #[must_use]
    pub fn cancelled(&self) -> Self {
        let mut next = self.clone();
        if let Some(UnderWay { old, .. }) = next.under_way.take() {
            next.before.retain(|pair| *pair != old.pair());
            next.before.push(next.current.pair());
            next.current = old;
            next.generation -= 1;
        }
        next
    }

    /// Keys of the SAs that the kernel is to have, inbound and outbound, the older first.
    #[must_use]
    pub(super) fn in_force(&self) -> (Vec<&KeySet>, Vec<&KeySet>) {
        let new = &self.current;
        let Some(UnderWay { phase, old, .. }) = &self.under_way else {
            return (vec![&new.inbound], vec![&new.outbound]);
        };
        let inbound = vec![&old.inbound, &new.inbound];
        match phase {
            Phase::Prepared => (inbound, vec![&old.outbound]),
            Phase::Switching => (inbound, vec![&old.outbound, &new.outbound]),
            Phase::Draining => (inbound, vec![&new.outbound]),
            Phase::Done => (vec![&new.inbound], vec![&new.outbound]),
        }
    }
}
