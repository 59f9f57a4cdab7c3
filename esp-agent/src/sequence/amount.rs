//! How far ahead is reserved.

use std::time::Duration;

/// At least so many packets. Each time that an SA is made again so many numbers are lost: a thousand times of the
/// 2^32 without ESN.
const LEAST: u64 = 1 << 22;
/// At most so many: with ESN the peer finds the high half of a number only within 2^32 of the last that it saw
/// (RFC 4303 appendix A2).
const MOST: u64 = 1 << 30;
/// For so long at the rate that was seen.
const TIME: Duration = Duration::from_secs(120);
/// For the time without an agent.
pub(super) const STOPPED: u64 = 1 << 24;

/// Numbers to reserve for an SA that has sent `sent` packets within `time`.
pub(super) fn ahead(sent: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let wanted = u128::from(sent) * TIME.as_millis() / u128::from(millis);
    u64::try_from(wanted).unwrap_or(MOST).clamp(LEAST, MOST)
}

/// The largest number of an SA.
pub(super) const fn limit(esn: bool) -> u64 {
    if esn { u64::MAX - 1 } else { u32::MAX as u64 - 1 }
}

/// True when an SA that begins at `start` has no room for what is reserved at least.
pub(super) const fn exhausted(start: u64, esn: bool) -> bool {
    start > limit(esn) - LEAST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rate_between_two_bounds() {
        let second = Duration::from_secs(1);
        assert_eq!(ahead(0, second), LEAST);
        assert_eq!(ahead(1_000_000, second), 120_000_000);
        assert_eq!(ahead(u64::MAX, Duration::ZERO), MOST);
    }

    #[test]
    fn the_end_of_32_bits_is_near_and_that_of_64_far() {
        assert!(!exhausted(0, false) && !exhausted(1 << 31, false));
        assert!(exhausted(u64::from(u32::MAX) - 1000, false));
        assert!(exhausted(1 << 40, false) && !exhausted(1 << 40, true));
    }
}
