//! New frames out of old ones.

use super::Feature;
use proptest::{prelude::Rng as _, test_runner::TestRng};
use std::collections::BTreeSet;

/// The longest frame.
const LONGEST: usize = 256;
/// Numbers of ethertypes, protocols, ports and lengths that the datapath knows, as they are on the wire.
const WORDS: [&[u8]; 18] = [
    &[0x08, 0x00],
    &[0x86, 0xdd],
    &[0x81, 0x00],
    &[0x88, 0xa8],
    &[0x01, 0xf4],
    &[0x11, 0x94],
    &[0, 0, 0, 0],
    &[0xff],
    &[50],
    &[17],
    &[6],
    &[0],
    &[43],
    &[44],
    &[60],
    &[0x45],
    &[0x60],
    &[0x20, 0x00],
];

/// A frame of the longest length at most.
pub(super) fn bounded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.truncate(LONGEST);
    frame
}

/// One of the frames, changed at up to eight places.
pub(super) fn one(rng: &mut TestRng, kept: &[(Vec<u8>, BTreeSet<Feature>)]) -> Vec<u8> {
    let Some((frame, _)) = kept.get(below(rng, kept.len())) else {
        return Vec::new();
    };
    let mut frame = frame.clone();
    for _ in 0..=below(rng, 8) {
        change(rng, &mut frame, kept);
    }
    bounded(frame)
}

fn change(rng: &mut TestRng, frame: &mut Vec<u8>, kept: &[(Vec<u8>, BTreeSet<Feature>)]) {
    let at = below(rng, frame.len());
    match below(rng, 7) {
        0 => put(frame, at, &[rng.next_u32() as u8]),
        1 => {
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << below(rng, 8);
            }
        }
        2 => put(frame, at, WORDS[below(rng, WORDS.len())]),
        3 => frame.truncate(at),
        4 => frame.resize(frame.len() + below(rng, 40), 0),
        // A tag, an option or an extension header more, or less.
        5 => {
            let four: [u8; 4] = rng.next_u32().to_be_bytes();
            frame.splice(at..at, four);
        }
        _ => {
            if let Some((other, _)) = kept.get(below(rng, kept.len())) {
                put(frame, at, other.get(at..).unwrap_or_default());
            }
        }
    }
}

/// Writes over what is there.
fn put(frame: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in frame.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}

/// A number below `limit`; 0 where there is none.
fn below(rng: &mut TestRng, limit: usize) -> usize {
    rng.next_u32() as usize % limit.max(1)
}
