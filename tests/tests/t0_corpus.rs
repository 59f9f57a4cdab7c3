//! Frames that a fuzzer found end in one reason each, whatever the hook.

use esp_common::{Hook, Reason};
use esp_tests::{corpus, fuzz, host};
use std::collections::BTreeSet;

#[test]
fn every_frame_of_the_corpus_has_one_reason_at_each_hook() {
    let frames = corpus::read().expect("the corpus");
    assert!(frames.len() > 50, "only {} frames", frames.len());
    let mut reasons = BTreeSet::new();
    for world in fuzz::worlds() {
        for (frame, hook) in frames.iter().flat_map(|frame| Hook::ALL.map(|hook| (frame, hook))) {
            let (action, seen) = host::run(&world, hook, frame, None);
            let len = frame.len() as u32;
            let [counted] = seen.reasons[..] else { panic!("{hook:?} {:?}: {frame:02x?}", seen.reasons) };
            assert_eq!((counted.0, counted.2, counted.3), (hook, action, len));
            reasons.insert(counted.1);
        }
    }
    // What needs an SA that decrypted, a budget or an incomplete picture is not among the fuzzer's worlds.
    let elsewhere = [
        Reason::Decrypted,
        Reason::DecryptedUnchecked,
        Reason::SelectorMismatch,
        Reason::UnknownUnsynced,
        Reason::SaBudget,
        Reason::PeerBudget,
        Reason::UnknownBudget,
        Reason::EspPing,
    ];
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !reasons.contains(reason) && !elsewhere.contains(reason))
        .collect();
    assert!(missing.is_empty(), "no frame ends in {missing:?}");
}
