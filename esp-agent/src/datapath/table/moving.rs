//! Counts move out of a line that another SA needs: never lost and never twice, whenever the agent is killed.
//!
//! The number of the row in the map of flows is noted in the line before the row is written, and that it was written
//! before the line is blanked. The next agent writes the same row again, or blanks on.

use super::{Annex, Row, Table};
use crate::datapath::DatapathError;
use esp_common::SeenKey;
use std::sync::atomic::Ordering;

/// Meta of a line whose counts are on their way to rows of this number and above it; no SA has such flags.
const MOVING: u16 = 0xf000;
/// Meta of a line whose counts have arrived.
const MOVED: u16 = 0xffff;
/// Where [`esp_common::Shape::moves`] is in the index.
pub(in crate::datapath) const MOVES: usize = 7;

impl Table {
    /// Makes a slot blank whose SA is gone.
    pub(super) fn give_up(&mut self, slot: u32, annex: &mut impl Annex) -> Result<(), DatapathError> {
        let rows = self.lines.rows(slot);
        if !rows.is_empty() {
            self.lines.mark(0, slot, MOVING | number(&rows, annex)?);
        }
        self.finish(slot, annex)
    }

    /// Brings what an agent began to its end.
    pub(super) fn finish(&mut self, slot: u32, annex: &mut impl Annex) -> Result<(), DatapathError> {
        let meta = self.lines.get(0, slot).meta;
        self.turn();
        if meta != MOVED && meta & MOVING == MOVING {
            annex.keep(&numbered(&self.lines.rows(slot), meta & !MOVING))?;
        }
        self.lines.mark(0, slot, MOVED);
        self.lines.blank(slot);
        self.turn();
        Ok(())
    }

    /// True when counts of a line were on their way.
    pub(super) fn is_moving(&self, slot: u32) -> bool {
        self.lines.get(0, slot).meta & MOVING == MOVING
    }

    /// Who reads lines and rows reads again when this moved meanwhile.
    fn turn(&self) {
        if let Some(word) = self.words().get(MOVES) {
            word.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Ends what a killed agent left odd.
    pub(super) fn even(&self) {
        if self.load(MOVES) % 2 == 1 {
            self.turn();
        }
    }
}

/// Writes counts that have no line into the map of flows.
pub(super) fn keep(rows: &[Row], annex: &mut impl Annex) -> Result<(), DatapathError> {
    annex.keep(&numbered(rows, number(rows, annex)?))
}

/// A number that none of the rows has yet in the map of flows. The last one is taken twice rather than none: by then the SA
/// has come and gone 255 times within the hour that its flows are kept.
fn number(rows: &[Row], annex: &impl Annex) -> Result<u16, DatapathError> {
    for number in 1..u16::from(u8::MAX) {
        let mut free = true;
        for (key, _) in numbered(rows, number) {
            free &= !annex.is_kept(&key)?;
        }
        if free {
            return Ok(number);
        }
    }
    Ok(u16::from(u8::MAX))
}

fn numbered(rows: &[Row], number: u16) -> Vec<Row> {
    rows.iter().map(|(key, seen)| (SeenKey { pad: number as u8, ..*key }, *seen)).collect()
}
