//! `[budget]`: how many packets may come.

use crate::config::{scalar, section::Section};
use esp_common::Budgets;
use std::time::Duration;

/// More than a CPU can look at.
const HIGHEST: u64 = 10_000_000;
/// A burst unless one is given.
const BURST: Duration = Duration::from_millis(100);
/// As long as an interval fits into 32 bits of ns.
const LONGEST: Duration = Duration::from_secs(4);

/// Reads it; what is not there is without a budget.
pub(super) fn read(root: &mut Section<'_>) -> Budgets {
    let Some(mut table) = root.table("budget") else { return Budgets::default() };
    let [sa_ns, peer_ns, unknown_ns] = ["sa", "peer", "unknown"].map(|key| {
        let rate = table.number(key, 1..=HIGHEST).and_then(|rate| u32::try_from(rate.value).ok());
        Budgets::interval_ns(rate.unwrap_or(0))
    });
    let shortest = Duration::from_nanos(Budgets::SHORTEST_NS.into());
    let burst = table.text("burst", |text| scalar::duration(text, shortest..=LONGEST));
    table.finish();
    let burst = burst.map_or(BURST, |burst| burst.value);
    let burst_ns = u32::try_from(burst.as_nanos()).unwrap_or(u32::MAX);
    Budgets { sa_ns, peer_ns, unknown_ns, burst_ns }
}
