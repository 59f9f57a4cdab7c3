//! The first rule that all fields accept.

use super::{Classes, Sets, is_v6};
use esp_common::{
    classifier::{PLANE_LINES, judged},
    names::RULES,
};

/// Verdict and policy of the first rule of a plane that accepts the fields. `N` fields are looked at: all rules accept
/// whatever stands in the others.
#[inline(always)] // the body of a function of its own for the verifier
pub fn first<S: Sets, const N: usize>(
    sets: &S,
    plane: u32,
    family: u8,
    classes: &Classes,
) -> Option<(u8, u32)> {
    let word = S::settle(walk::<S, N>(sets, plane, family, classes));
    (word != 0).then_some(judged(word))
}

/// The word of its verdict, 0 without one.
#[inline(always)] // as above
fn walk<S: Sets, const N: usize>(sets: &S, plane: u32, family: u8, classes: &Classes) -> u64 {
    let open = plane.wrapping_mul(2).wrapping_add(is_v6(family)).wrapping_mul(PLANE_LINES).wrapping_add(1);
    let mut left = u64::MAX;
    for (record, any) in classes.records.iter().zip(&sets.line(open).0).take(N) {
        left &= sets.word(record.wrapping_add(plane)) | any;
    }
    for _ in 0..u64::BITS {
        if left == 0 {
            break;
        }
        // The words are found by the bit, beside the work that its number takes.
        let bit = left & left.wrapping_neg();
        let number = bit.wrapping_sub(1).count_ones();
        let line = sets.line(open.wrapping_add(1).wrapping_add(number));
        let mut rules = u64::MAX;
        for (record, any) in classes.records.iter().zip(&line.0).take(N) {
            rules &= word(sets, *record, plane, bit) | any;
        }
        if rules != 0 {
            let rule = number.wrapping_mul(u64::BITS).wrapping_add(lowest(rules));
            return sets.word(plane.wrapping_mul(RULES).wrapping_add(rule));
        }
        left ^= bit;
    }
    0
}

/// The word of a record by its bit in the summary of a plane, without a branch: where there is none, what stands behind the
/// last one is masked. The words of the second plane are behind those of the first. What was read is read again and not
/// kept: the stack has no room.
#[inline(always)] // as above
fn word<S: Sets>(sets: &S, record: u32, plane: u32, bit: u64) -> u64 {
    let record = S::settle(record.into()) as u32;
    let summary = sets.word(record.wrapping_add(plane));
    let there = summary & bit;
    // Its sign bit is set where it is not zero.
    let there = S::opaque(there | there.wrapping_neg()) >> (u64::BITS - 1);
    let mut at = record.wrapping_add(2).wrapping_add((summary & bit.wrapping_sub(1)).count_ones());
    if plane > 0 {
        at = at.wrapping_add(sets.word(record).count_ones());
    }
    sets.word(at) & 0_u64.wrapping_sub(there)
}

/// The number of the lowest bit that is set.
#[inline(always)] // a few instructions
const fn lowest(word: u64) -> u32 {
    (word & word.wrapping_neg()).wrapping_sub(1).count_ones()
}
