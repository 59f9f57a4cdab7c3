//! ns for one packet: the program beside the empty one, in turn, in CPU time of the calling thread.

use crate::kernel::Kernel;
use anyhow::{Result, ensure};
use aya::{
    TestRun as _,
    programs::{TestRunOptions, Xdp},
};
use nix::time::{ClockId, clock_gettime};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Pairs of runs, one of them unmeasured in front.
    pub rounds: u32,
    /// Packets of each run.
    pub repeat: u32,
}

impl Sampling {
    /// Packets that one path sees: all rounds and the unmeasured one.
    #[must_use]
    pub fn packets(self) -> u64 {
        (u64::from(self.rounds) + 1) * u64::from(self.repeat)
    }
}

/// ns for one packet over all rounds.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Median.
    pub median: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

/// The costs of one path.
#[derive(Clone, Copy, Debug)]
pub struct Paired {
    /// Of the empty program: the kernel's loop around it.
    pub empty: Cost,
    /// Of the path's program.
    pub raw: Cost,
    /// The differences of the pairs: what the program itself costs.
    pub net: Cost,
}

/// Runs the empty program and the path's in turn; every second round the other one goes first, so that neither has the warmer
/// place.
///
/// # Errors
/// No round or no packet is asked for, or the kernel does not run a program.
pub(super) fn measure(
    sampling: Sampling,
    empty: impl Fn() -> Result<f64>,
    path: impl Fn() -> Result<f64>,
) -> Result<Paired> {
    ensure!(
        sampling.rounds > 0 && sampling.repeat > 0,
        "nothing to measure: rounds and repeat must not be 0"
    );
    let (mut empties, mut raw, mut net) = (Vec::new(), Vec::new(), Vec::new());
    empty()?;
    path()?;
    for round in 0..sampling.rounds {
        let (without, with) = if round % 2 == 0 {
            let without = empty()?;
            (without, path()?)
        } else {
            let with = path()?;
            (empty()?, with)
        };
        empties.push(without);
        raw.push(with);
        net.push(with - without);
    }
    Ok(Paired { empty: Cost::of(empties), raw: Cost::of(raw), net: Cost::of(net) })
}

/// ns for one packet of one run. The kernel's own figure is wall time, rounded up to ticks: not used.
pub(super) fn once(kernel: &Kernel, program: &str, frame: &[u8], repeat: u32) -> Result<f64> {
    let start = thread_ns()?;
    kernel.run(program, frame, repeat)?;
    Ok((thread_ns()? - start) as f64 / f64::from(repeat))
}

/// The same of a program of the bench. `verdict` is what the last packet must come to.
pub(super) fn once_of(program: &Xdp, frame: &[u8], repeat: u32, verdict: u32) -> Result<f64> {
    let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
    let start = thread_ns()?;
    let result = program.test_run(options)?;
    let ns = (thread_ns()? - start) as f64 / f64::from(repeat);
    ensure!(result.return_value == verdict, "it returned {} and not {verdict}", result.return_value);
    Ok(ns)
}

/// CPU time of this thread in ns.
pub(super) fn thread_ns() -> Result<i64> {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(now.tv_sec() * 1_000_000_000 + now.tv_nsec())
}

impl Cost {
    pub(super) fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |index: usize| samples.get(index).copied().unwrap_or(f64::NAN);
        let (middle, last) = (samples.len() / 2, samples.len().saturating_sub(1));
        let median = if samples.len().is_multiple_of(2) {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        };
        Self { median, min: at(0), max: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let cost = Cost::of(vec![9.0, 1.0, 2.0, 4.0]);
        assert_eq!((cost.min, cost.median, cost.max), (1.0, 3.0, 9.0));
        let cost = Cost::of(vec![9.0, 1.0, 4.0]);
        assert_eq!((cost.min, cost.median, cost.max), (1.0, 4.0, 9.0));
    }
}
