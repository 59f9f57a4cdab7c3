//! `[budget]`: how many packets may come. `[samples]`: how many that were dropped are told.

use crate::config::{scalar, section::Section};
use esp_common::{Budgets, Sampling};
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

/// More would be no sample any more.
const MOST_SAMPLES: u64 = 100_000;
/// Samples a second unless a number is given.
const SAMPLES: u32 = 100;
/// As many samples as come in this time may come at once.
const SAMPLE_BURST_NS: u32 = 1_000_000_000;

/// Reads `[samples]`.
pub(super) fn read_samples(root: &mut Section<'_>) -> Sampling {
    let rate = root.table("samples").and_then(|mut table| {
        let rate = table.number("rate", 0..=MOST_SAMPLES);
        table.finish();
        u32::try_from(rate?.value).ok()
    });
    sampling(rate.unwrap_or(SAMPLES))
}

/// So many samples a second.
const fn sampling(rate: u32) -> Sampling {
    Sampling { interval_ns: Budgets::interval_ns(rate), burst_ns: SAMPLE_BURST_NS }
}

/// Without a configuration.
pub(in crate::config) const DEFAULT_SAMPLING: Sampling = sampling(SAMPLES);
