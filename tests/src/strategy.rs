//! Frames and worlds that nobody thought of.

use crate::{
    cases::{self, Case},
    world::{World, only, rule},
};
use esp_common::{Mode, Rule, RuleAction};
use proptest::{
    collection::vec,
    prelude::*,
    sample,
    strategy::ValueTree as _,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use std::{fmt::Debug, sync::LazyLock};

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases::all);

/// Draws the same on every run.
#[must_use]
pub fn runner(seed: u8) -> TestRunner {
    TestRunner::new_with_rng(ProptestConfig::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]))
}

/// One of the strategy's values.
pub fn sample<T: Debug>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).expect("a value").current()
}

/// Any bytes.
pub fn noise() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=2048)
}

/// A frame of the table with bits turned, cut or made longer.
pub fn mutant() -> impl Strategy<Value = Vec<u8>> {
    let flips = vec((any::<sample::Index>(), 0_u8..8), 0..6);
    // Most of what is looked at is at the front.
    let near = vec((0_usize..64, 0_u8..8), 0..4);
    let size = prop_oneof![3 => Just(None), 1 => (0_usize..256).prop_map(Some)];
    let frames: Vec<_> =
        CASES.iter().map(|case| case.frame.clone()).filter(|frame| frame.len() <= 2048).collect();
    (sample::select(frames), flips, near, size).prop_map(|(mut frame, flips, near, size)| {
        for (index, bit) in flips {
            if !frame.is_empty() {
                let at = index.index(frame.len());
                frame[at] ^= 1 << bit;
            }
        }
        for (at, bit) in near {
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
        if let Some(size) = size {
            frame.resize(size, 0xff);
        }
        frame
    })
}

/// Both, mostly mutants: noise seldom gets beyond the Ethernet header.
pub fn frame() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => noise(), 4 => mutant()]
}

/// The lab with policies for nearly everything, and any settings.
pub fn world() -> impl Strategy<Value = World> {
    let modes = prop::array::uniform4(0_u8..4);
    (modes, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(modes, synced, leased, outer, bare)| {
            let mut world = guarded();
            world.settings.modes = modes;
            world.settings.synced = u32::from(synced);
            world.settings.lease_ns = if leased { u64::MAX } else { 1 };
            world.constants.outer_at_tc = outer;
            world.constants.no_ethernet = bare;
            world
        },
    )
}

/// The lab with policies for nearly everything, enforced.
#[must_use]
pub fn guarded() -> World {
    let (low, high) = ("0.0.0.0/1", "0.0.0.0/0");
    let protect = |dir, src, policy| rule(dir, RuleAction::Protect, src, high, policy);
    let web = only(rule(Rule::DIR_IN, RuleAction::Bypass, high, high, 24), 6, Some(80));
    let six = rule(Rule::DIR_IN, RuleAction::Protect, "fd00::/8", "::/0", 32);
    let rules = [web, protect(Rule::DIR_IN, low, 8), protect(Rule::DIR_FWD, low, 10), six];
    World::lab()
        .mode(Mode::Enforce)
        .rules_in(rules)
        .rules_out([protect(Rule::DIR_OUT, low, 17)])
        .inner([protect(Rule::DIR_FWD, low, 10)])
}
