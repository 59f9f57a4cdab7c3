//! CPUs that decrypt.

use super::names;
use super::text::Family;
use crate::snapshot::{AgentHealth, CpuRow};

/// Renders their families; nothing where none is handed packets.
pub(super) fn render(rows: &[CpuRow], agent: Option<&AgentHealth>, out: &mut String) {
    let mut families = [
        names::STEER_SAS,
        names::STEER_HANDED,
        names::STEER_ARRIVED,
        names::STEER_DROPPED,
        names::STEER_QUEUED,
    ]
    .map(Family::new);
    for row in rows {
        let values = [row.sas, row.handed, row.arrived, row.dropped, row.waiting];
        for (family, value) in families.iter_mut().zip(values) {
            family.add([&row.cpu.to_string()], value);
        }
    }
    families.into_iter().for_each(|family| family.write(out));
    let mut busy = Family::<f64>::new(names::STEER_BUSY);
    for (row, permille) in rows.iter().filter_map(|row| Some((row, row.busy_permille?))) {
        busy.set([&row.cpu.to_string()], f64::from(permille) / 1_000.0);
    }
    busy.write(out);
    if let (Some(health), false) = (agent, rows.is_empty()) {
        let mut moves = Family::new(names::STEER_MOVES);
        moves.add(["moved"], health.moved);
        moves.add(["stayed"], health.stayed);
        moves.write(out);
    }
}
