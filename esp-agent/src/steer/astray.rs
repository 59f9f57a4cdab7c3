//! Packets that came out on another CPU than the one they were handed to.
//!
//! When a CPU goes offline the kernel lets the threads that are bound to it run elsewhere, for good
//! (`select_fallback_rq` in kernel/sched/core.c): its queue goes on, and what comes out is counted on another CPU, even when
//! the first one runs again. Only a new queue is on its CPU.

use crate::datapath::queues::Passed;
use std::collections::{BTreeMap, BTreeSet};

/// What queues have handed over besides those that still hold it: a CPU's own packets that came out elsewhere less those of
/// others that came out on it.
#[derive(Clone, Debug, Default)]
pub struct Astray {
    owed: BTreeMap<u32, [i64; 2]>,
    /// What is owed was known once: more of it is new.
    settled: [bool; 2],
}

/// Packets that the kernel holds in front of queues and behind them, at most.
const BESIDE: i64 = 4_096;

impl Astray {
    /// Takes note of a look at all CPUs, of which some have queues of a size. Yields those whose packets came out elsewhere
    /// since the look before.
    pub fn look(&mut self, all: &BTreeMap<u32, [Passed; 2]>, queues: &BTreeMap<u32, u32>) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for (kind, settled) in self.settled.iter_mut().enumerate() {
            let open = all.iter().map(|(cpu, passed)| (*cpu, passed.map(|passed| passed.open())));
            let open: Vec<_> = open.filter_map(|(cpu, open)| Some((cpu, *open.get(kind)?))).collect();
            let idle = open.iter().map(|(_, open)| open).sum::<i64>() == 0;
            for (cpu, open) in open {
                let Some(owed) = self.owed.entry(cpu).or_default().get_mut(kind) else { continue };
                let queue = queues.get(&cpu).map(|size| i64::from(*size));
                let certain = idle || queue.is_none() || open < *owed;
                let beyond = queue.is_some_and(|size| open - *owed > size + BESIDE);
                if *settled && queue.is_some() && (beyond || certain && open > *owed) {
                    found.insert(cpu);
                }
                if certain {
                    *owed = open;
                }
            }
            *settled |= idle;
        }
        found
    }

    /// How many of the packets that were handed to a CPU are through.
    #[must_use]
    pub fn out(&self, cpu: u32, passed: [Passed; 2]) -> [u64; 2] {
        let owed = self.owed.get(&cpu).copied().unwrap_or_default();
        let [plain, frags] = passed;
        [(plain, owed[0]), (frags, owed[1])]
            .map(|(passed, owed)| (passed.arrived + passed.refused).saturating_add_signed(owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPUs 0 and 1, of which the second has a queue: `(handed, arrived)` of each.
    fn look(astray: &mut Astray, zero: (u64, u64), one: (u64, u64)) -> BTreeSet<u32> {
        let all = [(0, zero), (1, one)].map(|(cpu, (handed, arrived))| {
            (cpu, [Passed { handed, arrived, refused: 0 }, Passed::default()])
        });
        astray.look(&all.into(), &[(1, 64)].into())
    }

    fn out(astray: &Astray, handed: u64, arrived: u64) -> u64 {
        astray.out(1, [Passed { handed, arrived, refused: 0 }, Passed::default()])[0]
    }

    #[test]
    fn a_queue_that_holds_packets_is_not_astray() {
        let mut astray = Astray::default();
        for (handed, arrived) in [(10, 10), (50, 20), (90, 90), (120, 60)] {
            assert!(look(&mut astray, (0, 0), (handed, arrived)).is_empty());
            assert_eq!(out(&astray, handed, arrived), arrived);
        }
    }

    #[test]
    fn packets_that_came_out_elsewhere_are_through() {
        let mut astray = Astray::default();
        assert!(look(&mut astray, (0, 0), (10, 10)).is_empty());
        // 30 came out on CPU 0, nothing is on its way.
        assert_eq!(look(&mut astray, (0, 30), (50, 20)), [1].into());
        assert_eq!(out(&astray, 50, 20), 50);
        // And later ones on their own CPU again.
        assert!(look(&mut astray, (0, 30), (80, 50)).is_empty());
        assert_eq!((out(&astray, 80, 50), out(&astray, 90, 55)), (80, 85));
    }

    #[test]
    fn more_than_a_queue_can_hold_is_not_in_it() {
        let mut astray = Astray::default();
        assert!(look(&mut astray, (0, 0), (10, 10)).is_empty());
        assert_eq!(look(&mut astray, (0, 9_000), (10_000, 10)), [1].into());
    }

    #[test]
    fn what_was_astray_before_the_first_look_is_no_news() {
        let mut astray = Astray::default();
        assert!(look(&mut astray, (0, 30), (50, 20)).is_empty());
        assert_eq!(out(&astray, 50, 20), 50);
    }

    /// Between two looks a queue may be taken away.
    #[test]
    fn without_a_queue_nothing_is_on_its_way() {
        let mut astray = Astray::default();
        look(&mut astray, (0, 0), (10, 10));
        let row = |handed, arrived| [Passed { handed, arrived, refused: 0 }, Passed::default()];
        let all = [(0, row(5, 0)), (1, row(50, 20))].into();
        assert!(astray.look(&all, &[(0, 64)].into()).is_empty());
        assert_eq!(out(&astray, 50, 20), 50);
    }
}
