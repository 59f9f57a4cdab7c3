//! Takes finished steps back.

use super::{BATCH, Cause, Keyed, execute};
use crate::plan::Step;
use crate::plan::text::SaName;
use crate::record::Record;
use crate::xfrm::Xfrm;
use crate::xfrm::model::SaId;
use std::fmt;

/// What came of it.
#[derive(Debug, Default)]
pub struct Undo {
    /// Steps that were taken back.
    pub undone: usize,
    /// What failed: the rest was taken back all the same.
    pub failures: Vec<Cause>,
    /// SAs that were deleted and cannot come back: nobody keeps their keys.
    pub lost: Vec<SaId>,
}

pub(super) fn undo(done: &[Step], xfrm: &mut dyn Xfrm, record: &mut Record) -> Undo {
    let mut undo = Undo::default();
    let mut inverses = Vec::new();
    for step in done.iter().rev() {
        match step.inverse() {
            Some(inverse) => inverses.push(inverse),
            None => undo.lost.extend(deleted_sa(step)),
        }
    }
    for batch in inverses.chunks(BATCH) {
        undo.batch(batch, xfrm, record);
    }
    undo
}

fn deleted_sa(step: &Step) -> Option<SaId> {
    if let Step::DeleteSa(old) = step { Some(old.sa.id) } else { None }
}

impl Undo {
    /// Without a written intent nothing is brought back, else a crash would leave it without an owner; but what
    /// was made can go.
    fn batch(&mut self, batch: &[Step], xfrm: &mut dyn Xfrm, record: &mut Record) {
        let written = record.intend(batch).map_err(|error| self.failures.push(error.into())).is_ok();
        for step in batch {
            if !written && step.leaves_something() {
                record.withdraw(step);
                self.failures.push(Cause::NotRecorded { step: Box::new(step.clone()) });
                continue;
            }
            match execute(step, &Keyed::new(), xfrm) {
                Ok(()) => {
                    record.complete(step);
                    self.undone += 1;
                }
                Err(cause) => {
                    record.withdraw(step);
                    self.failures.push(cause);
                }
            }
        }
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { undone, failures, lost } = self;
        write!(f, "{undone} finished steps undone")?;
        for failure in failures {
            write!(f, "; while undoing: {failure}")?;
        }
        for sa in lost {
            write!(f, "; sa {} was deleted and cannot come back, its keys are not kept", SaName(sa))?;
        }
        Ok(())
    }
}
