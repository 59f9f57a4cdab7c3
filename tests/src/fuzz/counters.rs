//! Counters of the branches that ran: LLVM's SanitizerCoverage, inline 8-bit counters.

use super::Feature;
use anyhow::{Result, ensure};
use std::sync::Mutex;

/// Runs of counters, one for each part of the program that has some: first and how many.
static RUNS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Each part of the program names its counters before `main`.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let mut runs = RUNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let run = (start as usize, stop as usize - start as usize);
    // It is called once for each unit that was compiled, and names the counters of all of them.
    if !runs.contains(&run) {
        runs.push(run);
    }
}

/// The addresses of the branches, which are not needed.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_pcs_init(_start: *const usize, _stop: *const usize) {}

/// The counters of this program; one thread at a time uses them.
pub(super) struct Counters(Vec<(usize, usize)>);

impl Counters {
    /// # Errors
    /// It was built without.
    pub(super) fn of_this_program() -> Result<Self> {
        let runs = RUNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        ensure!(!runs.is_empty(), "this program counts no coverage: start it by `cargo xtask fuzz`");
        Ok(Self(runs))
    }

    pub(super) fn clear(&self) {
        for (first, count) in &self.0 {
            // SAFETY: a static array of bytes that this program named itself; it counts in them by plain stores, in this thread.
            unsafe { std::ptr::write_bytes(*first as *mut u8, 0, *count) };
        }
    }

    /// What ran since they were cleared.
    pub(super) fn read(&self) -> Vec<Feature> {
        let mut features = Vec::new();
        for (first, count) in &self.0 {
            for at in 0..*count {
                // SAFETY: as above.
                let times = unsafe { ((*first + at) as *const u8).read_volatile() };
                if times > 0 {
                    features.push((*first + at, times.ilog2()));
                }
            }
        }
        features
    }
}
