//! A bank as it grows: lines and words from the start, values of trees from the end.

use super::bits::{Bits, Open};
use esp_common::classifier::{BANK_LINES, BANK_WORDS, FREE_WORDS, Head, Line, RECORD, TREE_LINES, Way};
use std::collections::HashMap;

/// What a bank has no room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full(pub &'static str);

/// A compiled set of rules.
pub struct Compiled {
    /// The first lines of the bank.
    pub lines: Vec<Line>,
    /// The first words of the bank.
    pub words: Vec<u64>,
    /// The last words of the bank.
    pub tail: Vec<u64>,
}

impl Compiled {
    /// A line; `None` behind the last one that is used.
    #[must_use]
    pub fn line(&self, at: u32) -> Option<&Line> {
        self.lines.get(at as usize)
    }

    /// A word; `None` for one that is not used.
    #[must_use]
    pub fn word(&self, at: u32) -> Option<u64> {
        let (at, tail) = (at as usize, BANK_WORDS as usize - self.tail.len());
        let place = if at < tail { self.words.get(at) } else { self.tail.get(at - tail) };
        place.copied()
    }
}

pub(super) struct Bank {
    lines: Vec<Line>,
    words: Vec<u64>,
    /// The last word of the bank first.
    tail: Vec<u64>,
    first_record: u32,
    records: HashMap<Vec<u64>, u32>,
}

impl Bank {
    pub(super) fn new() -> Self {
        Self {
            lines: vec![Line::default(); TREE_LINES as usize],
            words: vec![0; FREE_WORDS as usize],
            tail: Vec::new(),
            first_record: 0,
            records: HashMap::new(),
        }
    }

    /// Writes the verdict of a rule.
    pub(super) fn judge(&mut self, bit: u32, verdict: u64) {
        self.words[bit as usize] = verdict;
    }

    /// Makes room for a table of so many words, ahead of the records; its position.
    pub(super) fn table(&mut self, words: u32) -> Result<u32, Full> {
        let at = self.words.len();
        self.words.resize(at + words as usize, 0);
        self.check()?;
        Ok(at as u32)
    }

    /// The words of a table.
    pub(super) fn table_mut(&mut self, at: u32) -> &mut [u64] {
        &mut self.words[at as usize..]
    }

    /// Begins the records with that of no rule; its position.
    pub(super) fn first_record(&mut self) -> Result<u32, Full> {
        self.first_record = self.record(&Bits::default())?;
        Ok(self.first_record)
    }

    /// The record of a set; equal ones share it.
    pub(super) fn record(&mut self, set: &Bits) -> Result<u32, Full> {
        let record = set.record();
        if let Some(at) = self.records.get(&record) {
            return Ok(*at);
        }
        let at = self.words.len() as u32;
        self.words.extend(&record);
        self.words.resize(self.words.len().next_multiple_of(RECORD as usize), 0);
        self.records.insert(record, at);
        self.check()?;
        Ok(at)
    }

    /// The number of a record in tables.
    pub(super) fn number(&self, record: u32) -> u64 {
        u64::from((record - self.first_record) / RECORD)
    }

    /// Makes room for nodes; the position of the first, and they.
    pub(super) fn nodes(&mut self, nodes: u32) -> Result<(u32, &mut [Line]), Full> {
        let at = self.lines.len();
        self.lines.resize(at + nodes as usize, Line([u64::MAX; 8]));
        if self.lines.len() > BANK_LINES as usize {
            return Err(Full("search trees"));
        }
        Ok((at as u32, &mut self.lines[at..]))
    }

    /// Writes values of a tree; the position of the first.
    pub(super) fn values(&mut self, values: impl DoubleEndedIterator<Item = Way>) -> Result<u32, Full> {
        self.tail.extend(values.rev().map(|way| way.0));
        self.check()?;
        Ok(BANK_WORDS - self.tail.len() as u32)
    }

    pub(super) fn finish(mut self, head: &Head, open: &Open) -> Compiled {
        self.lines[0] = bytemuck::cast(*head);
        self.lines[1..TREE_LINES as usize].copy_from_slice(open.lines());
        self.tail.reverse();
        Compiled { lines: self.lines, words: self.words, tail: self.tail }
    }

    fn check(&self) -> Result<(), Full> {
        let used = self.words.len() + self.tail.len();
        if used > BANK_WORDS as usize { Err(Full("classes of addresses and ports")) } else { Ok(()) }
    }
}
