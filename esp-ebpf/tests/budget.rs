//! A budget lets as many packets through as its rate says, whatever comes and whatever the clock's tick.

use esp_common::Budgets;
use esp_datapath::{Words, budget::spend};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Clone, Copy)]
struct One<'a>(&'a AtomicU64);

impl Words for One<'_> {
    fn load(self, _: usize) -> u64 {
        self.0.load(Relaxed)
    }

    fn store(self, _: usize, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn add(self, _: usize, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    fn swap(self, _: usize, old: u64, fresh: u64) -> bool {
        self.0.compare_exchange(old, fresh, Relaxed, Relaxed).is_ok()
    }
}

const SECOND: u64 = 1_000_000_000;
const BURST: u32 = 100_000_000;
/// The clock does not begin at 0.
const START: u64 = 7 * SECOND;

/// Packets let through of those that come every `every` ns for `time` ns, by a clock of `tick` ns.
fn through(rate: u32, every: u64, time: u64, tick: u64) -> u64 {
    let word = AtomicU64::new(0);
    let moments = (0..time / every).map(|packet| (START + packet * every) / tick * tick);
    moments.filter(|now| spend(One(&word), 0, Budgets::interval_ns(rate), BURST, *now)).count() as u64
}

proptest! {
    #[test]
    fn more_than_the_rate_is_cut_to_it_within_five_percent(
        rate in prop_oneof![Just(1_000_u32), Just(100_000), 50..300_000_u32],
        over in 2_u64..20,
        tick in prop_oneof![Just(1_000_000_u64), Just(4_000_000), Just(10_000_000)],
    ) {
        let (seconds, every) = (4, SECOND / (u64::from(rate) * over));
        let burst = u64::from(rate) / 10;
        let (found, wanted) = (through(rate, every, seconds * SECOND, tick), seconds * u64::from(rate) + burst);
        prop_assert!(found.abs_diff(wanted) <= wanted / 20 + 1, "{found} of {wanted}");
    }

    #[test]
    fn less_than_the_rate_passes_whole(
        rate in 50..300_000_u32,
        part in 1_u64..100,
        tick in prop_oneof![Just(1_000_000_u64), Just(10_000_000)],
    ) {
        let every = SECOND * 100 / (u64::from(rate) * part) + 1;
        let time = 2 * SECOND;
        prop_assert_eq!(through(rate, every, time, tick), time / every);
    }
}

#[test]
fn a_pause_gives_no_more_than_a_burst() {
    let word = AtomicU64::new(0);
    let at =
        |now| (0..1_000).filter(|_| spend(One(&word), 0, Budgets::interval_ns(1_000), BURST, now)).count();
    assert_eq!(at(START), 101);
    assert_eq!(at(START), 0);
    assert_eq!(at(START + 3_600 * SECOND), 101);
}
