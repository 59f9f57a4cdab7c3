//! A rotation as people and programs see it.

use super::entry::{Entry, Phase};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The generation of one tunnel. Fields are only ever added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RotationRow {
    /// Tunnel.
    pub tunnel: String,
    /// Counted from the keys of the configuration.
    pub generation: u32,
    /// When it was begun, seconds since the epoch.
    pub begun_s: u64,
    /// How far it is.
    pub phase: Phase,
    /// Inbound SPI of the newest keys.
    pub spi_in: String,
    /// Outbound SPI of the newest keys.
    pub spi_out: String,
    /// Inbound SPI of the keys that go.
    pub old_spi_in: Option<String>,
    /// Outbound SPI of the keys that go.
    pub old_spi_out: Option<String>,
    /// When the next phase is expected to begin, ms since the epoch; by command if there is none.
    pub next_ms: Option<u64>,
}

impl RotationRow {
    pub(super) fn of(tunnel: &str, entry: &Entry) -> Self {
        let old = entry.under_way.as_ref().map(|under_way| &under_way.old);
        let next = entry.under_way.as_ref().and_then(|under_way| under_way.due.as_ref());
        Self {
            tunnel: tunnel.to_owned(),
            generation: entry.generation,
            begun_s: entry.begun_s,
            phase: entry.phase(),
            spi_in: entry.current.inbound.spi().to_string(),
            spi_out: entry.current.outbound.spi().to_string(),
            old_spi_in: old.map(|old| old.inbound.spi().to_string()),
            old_spi_out: old.map(|old| old.outbound.spi().to_string()),
            next_ms: next.map(super::Deadline::wall_ms),
        }
    }
}

impl fmt::Display for RotationRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tunnel, generation, spi_in, spi_out, .. } = self;
        write!(f, "tunnel {tunnel}: generation {generation} of its keys, in {spi_in}, out {spi_out}")?;
        let at = |ms: u64| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
            humantime::format_rfc3339_seconds(time)
        };
        match (self.phase, self.next_ms) {
            (Phase::Prepared, Some(ms)) => write!(f, "; prepared, outbound switches at {}", at(ms)),
            (Phase::Prepared, None) => write!(f, "; prepared, outbound waits for `rotate {tunnel} --switch`"),
            (Phase::Switching, _) => write!(f, "; outbound is being switched"),
            (Phase::Draining, Some(ms)) => write!(f, "; switched, the old inbound SA goes at {}", at(ms)),
            (Phase::Draining, None) | (Phase::Done, _) => Ok(()),
        }
    }
}
