//! Counts of tests, from what the test programs print.

use std::fmt;
use std::ops::AddAssign;

/// Passed, failed and ignored tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
}

impl Tally {
    /// Adds up the `test result:` lines of libtest.
    pub(super) fn read(output: &str) -> Self {
        let mut sum = Self::default();
        for line in output.lines() {
            let Some((_, rest)) = line.split_once("test result: ") else { continue };
            sum.passed += before(rest, " passed;");
            sum.failed += before(rest, " failed;");
            sum.ignored += before(rest, " ignored;");
        }
        sum
    }

    /// As [`Tally::read`]; a run that failed without a failed test (a crash, a limit, a build error) is one failure.
    pub(super) fn of_run(output: &str, success: bool) -> Self {
        let mut tally = Self::read(output);
        if !success && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

fn before(text: &str, unit: &str) -> usize {
    let number = text.split_once(unit).and_then(|(head, _)| head.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "running 5 tests\ntest a ... ok\n\
        test result: ok. 3 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
        test result: FAILED. 10 passed; 4 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

    #[test]
    fn all_result_lines_are_added_up() {
        assert_eq!(Tally::read(RUN), Tally { passed: 13, failed: 4, ignored: 3 });
    }

    #[test]
    fn a_failed_run_without_a_failed_test_counts_as_one_failure() {
        assert_eq!(Tally::of_run("", false).failed, 1);
        assert_eq!(Tally::of_run(RUN, false).failed, 4);
        assert_eq!(Tally::of_run("", true).failed, 0);
    }
}
