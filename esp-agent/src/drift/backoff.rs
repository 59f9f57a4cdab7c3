//! How long to wait before the next repair of an object that someone keeps undoing.

use super::Object;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Between the first repair and the second; it doubles with each.
const FIRST: Duration = Duration::from_secs(1);
/// At most so long.
const CAP: Duration = Duration::from_secs(300);
/// An object that was left alone for so long begins anew. Twice the cap, so that who undoes us every five minutes is
/// still known.
const FORGET: Duration = Duration::from_secs(600);

/// The repairs of each object, none of them longer ago than `FORGET` and the wait that they ask for.
#[derive(Debug, Default)]
pub struct Backoff(HashMap<Object, Repairs>);

#[derive(Clone, Copy, Debug)]
struct Repairs {
    last: Instant,
    count: u32,
}

impl Repairs {
    fn wait(self) -> Duration {
        FIRST.saturating_mul(1 << (self.count.saturating_sub(1)).min(20)).min(CAP)
    }
}

impl Backoff {
    /// When `object` may be repaired: at once, the first time.
    #[must_use]
    pub fn due(&self, object: &Object, now: Instant) -> Instant {
        self.0.get(object).map_or(now, |repairs| (repairs.last + repairs.wait()).max(now))
    }

    /// Repairs of `object` so far.
    #[must_use]
    pub fn count(&self, object: &Object) -> u32 {
        self.0.get(object).map_or(0, |repairs| repairs.count)
    }

    /// Notes a repair, or an attempt at one.
    pub fn repaired(&mut self, object: &Object, now: Instant) {
        let repairs = self.0.entry(object.clone()).or_insert(Repairs { last: now, count: 0 });
        *repairs = Repairs { last: now, count: repairs.count.saturating_add(1) };
    }

    /// Forgets objects that were left alone for long.
    pub fn forget(&mut self, now: Instant) {
        self.0.retain(|_, repairs| now.saturating_duration_since(repairs.last) < FORGET);
    }

    /// Forgets all: the operator has changed what is wanted.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::lab_sa_out;

    #[test]
    fn the_first_repair_is_at_once_and_each_further_one_waits_twice_as_long() {
        let (mut backoff, object) = (Backoff::default(), Object::Sa(lab_sa_out().id));
        let mut now = Instant::now();
        assert_eq!(backoff.due(&object, now), now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            backoff.repaired(&object, now);
            let due = backoff.due(&object, now);
            waits.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        // Who comes back after the wait is repaired at once, and still known.
        let later = now + Duration::from_secs(250);
        assert_eq!(backoff.due(&object, later), later);
        backoff.forget(later);
        assert_eq!(backoff.count(&object), 12);
        backoff.forget(now + FORGET);
        assert_eq!(backoff.count(&object), 0);
    }

    #[test]
    fn ten_hours_of_a_fight_are_few_repairs() {
        let (mut backoff, object) = (Backoff::default(), Object::Sa(lab_sa_out().id));
        let start = Instant::now();
        // Undone every 100 ms.
        for tick in 0..10 * 3600 * 10 {
            let now = start + Duration::from_millis(100) * tick;
            if backoff.due(&object, now) == now {
                backoff.repaired(&object, now);
            }
        }
        assert!(backoff.count(&object) < 130, "{}", backoff.count(&object));
    }
}
