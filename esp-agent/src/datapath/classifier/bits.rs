//! Sets of rules.

use esp_common::{
    Rule,
    classifier::{Field, Line, PLANE_LINES, RULE_WORDS},
    names::RULES,
};

/// Words of both planes.
const WORDS: usize = 2 * RULE_WORDS as usize;

/// One bit for each rule: those of the first plane, then those of the second.
#[derive(Clone)]
pub(super) struct Bits(Box<[u64; WORDS]>);

impl Default for Bits {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl Bits {
    pub(super) fn set(&mut self, bit: u32) {
        self.0[(bit / u64::BITS) as usize] |= 1 << (bit % u64::BITS);
    }

    pub(super) fn clear(&mut self, bit: u32) {
        self.0[(bit / u64::BITS) as usize] &= !(1 << (bit % u64::BITS));
    }

    /// Summaries of both planes, then the words that are not zero.
    pub(super) fn record(&self) -> Vec<u64> {
        let mut record = vec![0, 0];
        for (index, word) in self.0.iter().enumerate().filter(|(_, word)| **word != 0) {
            record[index / RULE_WORDS as usize] |= 1 << (index % RULE_WORDS as usize);
            record.push(*word);
        }
        record
    }
}

/// Rules that leave a field open: lines of each plane and family, the summary first.
pub(super) struct Open(Vec<Line>);

impl Default for Open {
    fn default() -> Self {
        Self(vec![Line::default(); 4 * PLANE_LINES as usize])
    }
}

impl Open {
    /// The rule accepts every value of the field.
    pub(super) fn set(&mut self, rule: &Rule, bit: u32, field: Field) {
        let (plane, place) = (bit / RULES, bit % RULES);
        let first = (plane * 2 + u32::from(rule.family == 6)) * PLANE_LINES;
        let word = place / u64::BITS;
        self.0[first as usize].0[field as usize] |= 1 << word;
        self.0[(first + 1 + word) as usize].0[field as usize] |= 1 << (place % u64::BITS);
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.0
    }
}
