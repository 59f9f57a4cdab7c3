//! `[steer]`: which CPUs decrypt.

use crate::config::{section::Section, valid::Steer};
use crate::cpu_list;

/// Packets that a queue holds unless a number is given: at 100,000 packets/s what comes in 20 ms.
const QUEUE: u32 = 2_048;
/// The kernel takes no more (`cpu_map_update_elem`).
const LONGEST: u64 = 16_384;

/// Reads it; what is not there steers nothing.
pub(super) fn read(root: &mut Section<'_>) -> Option<Steer> {
    let mut table = root.table("steer")?;
    table.require("cpus");
    let cpus = table.text("cpus", |text| match cpu_list::parse(text)? {
        cpus if cpus.is_empty() => Err("names no CPU".to_owned()),
        cpus => Ok(cpus),
    });
    let queue = table.number("queue", 8..=LONGEST).and_then(|queue| u32::try_from(queue.value).ok());
    table.finish();
    Some(Steer { cpus: cpus?.value, queue: queue.unwrap_or(QUEUE) })
}
