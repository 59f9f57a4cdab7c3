//! Which CPUs there are.

use super::DatapathError;
use crate::cpu_list;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DIR: &str = "/sys/devices/system/cpu";

/// One more than the highest number that a CPU of this machine can have: so many runs has a flat array of counters.
///
/// Errors: the kernel does not tell.
pub fn count() -> Result<u32, DatapathError> {
    Ok(possible()?.last().map_or(0, |last| last + 1))
}

/// All that there can be, now or after one is plugged in.
///
/// Errors: the kernel does not tell.
pub fn possible() -> Result<BTreeSet<u32>, DatapathError> {
    list("possible")
}

/// Those that run now.
///
/// Errors: the kernel does not tell.
pub fn online() -> Result<BTreeSet<u32>, DatapathError> {
    list("online")
}

fn list(name: &str) -> Result<BTreeSet<u32>, DatapathError> {
    let path: PathBuf = Path::new(DIR).join(name);
    let failed = |what, source| DatapathError::Pin { what, path: path.clone(), source };
    let text = std::fs::read_to_string(&path).map_err(|source| failed("read", source))?;
    cpu_list::parse(&text).map_err(|error| failed("understand", std::io::Error::other(error)))
}
