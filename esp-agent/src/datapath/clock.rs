//! What time jiffies have: the datapath reads no clock but that.

use super::{DatapathError, tellers::told};
use aya::programs::SchedClassifier;
use esp_common::{Settings, names};
use nix::time::{ClockId, clock_getres};

/// Sets what the datapath reckons its time by, as the program tells.
///
/// Errors: [`DatapathError::Clock`].
pub fn set(program: &SchedClassifier, settings: &mut Settings) -> Result<(), DatapathError> {
    let failed = DatapathError::Clock;
    let out = told(program).map_err(failed)?;
    let read = |at: usize| {
        out.get(at..).and_then(|bytes| bytes.first_chunk()).map(|bytes| u64::from_ne_bytes(*bytes))
    };
    let (jiffies, ns) = (read(names::CLOCK_OFFSET), read(names::CLOCK_OFFSET + size_of::<u64>()));
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_err(|errno| failed(errno.into()))?;
    let (Some(jiffies), Some(ns), Ok(tick)) = (jiffies, ns, u32::try_from(tick.tv_nsec())) else {
        return Err(failed(std::io::ErrorKind::InvalidData.into()));
    };
    settings.tick_ns = tick;
    settings.epoch = jiffies.wrapping_sub(ns / u64::from(tick.max(1)));
    Ok(())
}
