//! A fuzzer of the pure datapath that is led by coverage: a frame that takes a way which no other took is kept, and the next
//! ones are made of it.

use crate::{cases, corpus, host, kernel::Constants, strategy, world::World};
use anyhow::{Result, ensure};
use esp_common::Hook;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

mod counters;
mod mutate;

use counters::Counters;

/// Where a frame went: a place in the code, and how often it was there, in powers of two.
type Feature = (usize, u32);

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Frames that were tried.
    pub tried: u64,
    /// Frames of the corpus.
    pub frames: usize,
    /// Places of the code that they reach.
    pub places: usize,
}

/// Fuzzes for so long, from the corpus and the table of cases on, and writes the smallest corpus that reaches the same.
///
/// # Errors
/// This program counts no coverage (`cargo xtask fuzz` builds one that does), a frame has not one reason, or the corpus
/// cannot be read or written.
pub fn run(time: Duration, seed: [u8; 32]) -> Result<Found> {
    let counters = Counters::of_this_program()?;
    let worlds = worlds();
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let (mut kept, mut seen, mut tried) = (Vec::new(), BTreeSet::new(), 0);
    let mut keep = |frame: Vec<u8>, kept: &mut Vec<(Vec<u8>, BTreeSet<Feature>)>| -> Result<()> {
        tried += 1;
        let features = features(&counters, &worlds, &frame)?;
        if features.iter().any(|feature| !seen.contains(feature)) {
            seen.extend(features.iter().copied());
            kept.push((frame, features));
        }
        Ok(())
    };
    let known = if corpus::file().exists() { corpus::read()? } else { Vec::new() };
    for frame in known.into_iter().chain(cases::all().into_iter().map(|case| case.frame)) {
        keep(mutate::bounded(frame), &mut kept)?;
    }
    let end = Instant::now() + time;
    while Instant::now() < end {
        let frame = mutate::one(&mut rng, &kept);
        keep(frame, &mut kept)?;
    }
    let smallest = smallest(kept);
    corpus::write(&smallest)?;
    let places = seen.iter().map(|(place, _)| place).collect::<BTreeSet<_>>().len();
    Ok(Found { tried, frames: smallest.len(), places })
}

/// One for each way in which programs stand.
#[must_use]
pub fn worlds() -> Vec<World> {
    Constants::ALL.map(|constants| World { constants, ..strategy::guarded() }).into()
}

fn features(counters: &Counters, worlds: &[World], frame: &[u8]) -> Result<BTreeSet<Feature>> {
    let mut features = BTreeSet::new();
    for (world, hook) in worlds.iter().flat_map(|world| Hook::ALL.map(|hook| (world, hook))) {
        counters.clear();
        let (_, seen) = host::run(world, hook, frame, None);
        features.extend(counters.read());
        ensure!(seen.reasons.len() == 1, "{hook:?} counted {:?}: {frame:02x?}", seen.reasons);
    }
    Ok(features)
}

/// The shortest frames first, and of all only those that reach what the ones before do not.
fn smallest(mut kept: Vec<(Vec<u8>, BTreeSet<Feature>)>) -> Vec<Vec<u8>> {
    kept.sort_by_key(|(frame, _)| frame.len());
    let mut seen = BTreeSet::new();
    kept.retain(|(_, features)| {
        let before = seen.len();
        seen.extend(features.iter().copied());
        seen.len() > before
    });
    kept.into_iter().map(|(frame, _)| frame).collect()
}
