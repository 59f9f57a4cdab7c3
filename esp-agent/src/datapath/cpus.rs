//! How many runs a flat array of counters has.

use super::DatapathError;
use std::path::Path;

const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// One more than the highest number that a CPU of this machine can have, now or after one is plugged in.
///
/// Errors: the kernel does not tell.
pub fn count() -> Result<u32, DatapathError> {
    let text = std::fs::read_to_string(POSSIBLE).map_err(|source| DatapathError::Pin {
        what: "read",
        path: Path::new(POSSIBLE).into(),
        source,
    })?;
    // A list of ranges in rising order, such as `0-3,8`.
    let last = text.trim().rsplit([',', '-']).next().and_then(|number| number.parse::<u32>().ok());
    last.map(|number| number + 1).ok_or_else(|| DatapathError::Pin {
        what: "understand",
        path: Path::new(POSSIBLE).into(),
        source: std::io::ErrorKind::InvalidData.into(),
    })
}
