//! The mirror of xfrm_stat: the kernel's own drop counters, in a BPF map.

use crate::datapath::{DatapathError, maps::Maps};
use crate::procfs::{Proc, ProcFs as _};
use esp_common::{StatName, names};

/// Copies all counters, unknown ones too. A kernel without them leaves the map empty; [`crate::probe::lacks`] says so.
///
/// # Errors
/// The map cannot be written.
pub fn copy(maps: &mut Maps) -> Result<(), DatapathError> {
    let Ok(rows) = Proc.xfrm_stat() else {
        return Ok(());
    };
    for (name, value) in rows {
        let Some(name) = StatName::new(&name) else {
            continue;
        };
        let failed = |source| DatapathError::Map { what: "write", name: names::MAP_XFRM_STAT, source };
        maps.xfrm_stat.insert(name, value, 0).map_err(failed)?;
    }
    Ok(())
}
