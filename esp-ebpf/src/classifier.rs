//! The first rule that a packet matches, whatever their number: see [`esp_common::classifier`] for what is searched.

mod classes;
mod first;

pub use classes::{Classes, classes};
pub use first::first;

use crate::policy::{Found, demands};
use esp_common::{
    Selector,
    classifier::{FIELDS, Field, Line},
};

/// The seam to the memory of a rule set.
pub trait Sets {
    /// A line.
    fn line(&self, at: u32) -> &Line;

    /// A word.
    fn word(&self, at: u32) -> u64;

    /// The same value, as one of which the compiler knows nothing: it would make branches of comparisons by subtraction, and
    /// those of a search cannot be predicted.
    fn opaque(value: u64) -> u64 {
        value
    }

    /// The same value, as one of which the verifier knows nothing: all ways that lead here become one for it.
    fn settle(value: u64) -> u64 {
        value
    }
}

/// How many fields are looked at where no rule asks for more.
const ADDRESSES: usize = Field::Dst as usize + 1;

/// The policy that demands protection of the packet.
#[inline(always)] // the body of a function of its own for the verifier
pub fn demanded<S: Sets>(sets: &S, packet: &Selector) -> Option<u32> {
    let classes = classes(sets, packet);
    if classes.listed {
        return demanded_by::<S, FIELDS>(sets, packet.family, &classes);
    }
    demanded_by::<S, ADDRESSES>(sets, packet.family, &classes)
}

#[inline(always)] // as above
fn demanded_by<S: Sets, const N: usize>(sets: &S, family: u8, classes: &Classes) -> Option<u32> {
    let forward = Found::of(first::<S, N>(sets, 0, family, classes));
    if classes.planes < 2 || forward == Found::Excused {
        return demands(forward, Found::Nothing);
    }
    demands(forward, Found::of(first::<S, N>(sets, 1, family, classes)))
}

/// 1 for IPv6, 0 for IPv4, without a branch.
#[inline(always)] // two instructions
const fn is_v6(family: u8) -> u32 {
    (family >> 1 & 1) as u32
}
