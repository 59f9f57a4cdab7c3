//! Conditions with a deadline.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks at `condition` until it yields a value. It is looked at once at least, also with a deadline of zero.
///
/// # Errors
/// When `deadline` has passed; the text names `what` was waited for.
pub fn until<T>(deadline: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T> {
    until_ok(deadline, what, || condition().ok_or_else(|| anyhow::anyhow!("not yet")))
}

/// Tries `attempt` until it succeeds.
///
/// # Errors
/// When `deadline` has passed; the text names `what` was waited for and how the last attempt failed.
pub fn until_ok<T>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if start.elapsed() >= deadline {
            bail!("waited {deadline:?} for {what}: {last:#}");
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_yields_its_value() {
        let mut looks = 0;
        let seen = until(Duration::from_secs(5), "the third look", || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(seen.unwrap(), 3);
    }

    #[test]
    fn a_missed_deadline_is_named() {
        let error = until(Duration::ZERO, "the impossible", || None::<()>).unwrap_err();
        assert_eq!(error.to_string(), "waited 0ns for the impossible: not yet");
    }

    #[test]
    fn the_last_failure_is_told() {
        let error = until_ok(Duration::ZERO, "an answer", || -> Result<()> { bail!("connection refused") })
            .unwrap_err();
        assert!(error.to_string().ends_with("for an answer: connection refused"), "{error}");
    }
}
