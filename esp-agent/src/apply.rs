//! Runs a plan: the intent goes into the ownership record first, then the kernel is changed, then the record
//! says that it is done. A step that fails takes the finished ones back, in reverse.

mod error;
mod undo;

#[cfg(test)]
mod tests;

pub use error::{ApplyError, Cause};
pub use undo::Undo;

use crate::config::desired::{Desired, KeyedSa};
use crate::plan::{Observed, Plan, SaStep, Step, diff};
use crate::record::{Record, RecordError};
use crate::xfrm::interface::{ObservedLink, Part};
use crate::xfrm::model::{Sa, SaId, SaKeys};
use crate::xfrm::{Xfrm, XfrmError};
use std::collections::HashMap;

/// Steps whose intents are written at once: the record is one file, and writing it for each of many thousand
/// steps would take time by their square.
const BATCH: usize = 64;

/// The receipt of a plan that was run.
#[derive(Debug)]
pub struct Applied {
    /// Steps that were run, in order.
    pub done: Vec<Step>,
    /// Additions that found their object there, equal in all: made by another program in the meantime, not ours.
    pub already_there: Vec<Step>,
    /// Why the record could not learn the kernel's times and indices; the next run learns them.
    pub unsealed: Option<Cause>,
}

impl Applied {
    /// Takes the steps back, in reverse, as far as that is possible.
    #[must_use]
    pub fn undo(self, xfrm: &mut dyn Xfrm, record: &mut Record) -> Undo {
        let mut undo = undo::undo(&self.done, xfrm, record);
        undo.failures.extend(seal(xfrm, record).err());
        undo
    }
}

/// Runs `plan`, which was made from `desired` and from `record` as it is, reconciled.
///
/// # Errors
/// The step that failed, or the record that could not be written, and what came of taking back the steps
/// before it.
pub fn apply(
    plan: &Plan,
    desired: &Desired,
    xfrm: &mut dyn Xfrm,
    record: &mut Record,
) -> Result<Applied, ApplyError> {
    let mut run = Run { keyed: by_id(desired), xfrm, done: Vec::new(), already_there: Vec::new() };
    if let Err(cause) = record.save().map_err(Cause::from).and_then(|()| run.all(&plan.steps, record)) {
        let Run { xfrm, done, .. } = run;
        let mut undo = undo::undo(&done, xfrm, record);
        undo.failures.extend(seal(xfrm, record).err());
        return Err(ApplyError { cause, undo: Box::new(undo) });
    }
    let Run { xfrm, done, already_there, .. } = run;
    let unsealed = if done.is_empty() { None } else { seal(xfrm, record).err() };
    Ok(Applied { done, already_there, unsealed })
}

/// Lets the record learn what the kernel has made of the steps.
fn seal(xfrm: &mut dyn Xfrm, record: &mut Record) -> Result<(), Cause> {
    let observed = Observed::of(xfrm)?;
    record.reconcile(&observed);
    Ok(record.save()?)
}

/// The SAs that are wanted, with their keys.
type Keyed<'a> = HashMap<SaId, &'a KeyedSa>;

fn by_id(desired: &Desired) -> Keyed<'_> {
    desired.sas.iter().map(|keyed| (keyed.sa.id, keyed)).collect()
}

struct Run<'a> {
    keyed: Keyed<'a>,
    xfrm: &'a mut dyn Xfrm,
    done: Vec<Step>,
    already_there: Vec<Step>,
}

impl<'a> Run<'a> {
    fn all(&mut self, steps: &[Step], record: &mut Record) -> Result<(), Cause> {
        for batch in steps.chunks(BATCH) {
            self.batch(batch, record)?;
        }
        Ok(())
    }

    fn batch(&mut self, batch: &[Step], record: &mut Record) -> Result<(), Cause> {
        if let Err(error) = record.intend(batch) {
            batch.iter().for_each(|step| record.withdraw(step));
            return Err(error.into());
        }
        if let Err(error) = self.xfrm.expect(&self.added(batch)) {
            batch.iter().for_each(|step| record.withdraw(step));
            return Err(Cause::Sequence(error));
        }
        for (index, step) in batch.iter().enumerate() {
            match self.step(step) {
                Ok(true) => {
                    record.complete(step);
                    self.done.push(step.clone());
                }
                Ok(false) => {
                    record.withdraw(step);
                    self.already_there.push(step.clone());
                }
                Err(cause) => {
                    batch.iter().skip(index).for_each(|step| record.withdraw(step));
                    return Err(cause);
                }
            }
        }
        Ok(record.save()?)
    }

    fn added(&self, batch: &[Step]) -> Vec<(&'a Sa, &'a SaKeys)> {
        let keyed = |step: &Step| {
            if let Step::AddSa(new) = step { self.keyed.get(&new.sa.id).copied() } else { None }
        };
        batch.iter().filter_map(keyed).map(|keyed| (&keyed.sa, &keyed.keys)).collect()
    }

    /// True when the step changed the kernel, false when what it adds was there.
    fn step(&mut self, step: &Step) -> Result<bool, Cause> {
        match execute(step, &self.keyed, self.xfrm) {
            Ok(()) => Ok(true),
            Err(Cause::Step { source, .. }) if source.already_exists() => self.was_there(step, source),
            Err(cause) => Err(cause),
        }
    }

    /// The object came into being after the plan was made. Only the kernel can say what it is.
    fn was_there(&mut self, step: &Step, source: XfrmError) -> Result<bool, Cause> {
        let observed = Observed::of(self.xfrm)?;
        let differs = match step {
            Step::AddSa(new) => observed.sas_by_id().get(&new.sa.id).map(|seen| diff::sa(&new.sa, seen)),
            Step::AddPolicy(new) | Step::UpdatePolicy { new, .. } => {
                let seen = observed.policies_by_id().get(&new.policy.id).copied();
                seen.map(|seen| diff::policy(&new.policy, &seen.policy))
            }
            Step::AddPart(new) => there(&observed, &new.part),
            Step::DeleteSa(_)
            | Step::DeletePolicy(_)
            | Step::DeletePart(_)
            | Step::UpdateLink { .. }
            | Step::SetDefault { .. } => None,
        };
        match differs {
            None => Err(Cause::Step { step: Box::new(step.clone()), source }),
            Some(differs) if differs.is_empty() => Ok(false),
            Some(differs) => Err(Cause::Taken { step: Box::new(step.clone()), differs }),
        }
    }
}

/// In what a part that is there differs from `part`; `None` when there is none.
fn there(observed: &Observed, part: &Part) -> Option<Vec<&'static str>> {
    let id = part.id();
    match part {
        Part::Link(link) => {
            let seen = observed.links.iter().find(|seen| seen.name == link.name);
            seen.map(|seen| diff::link(link, seen))
        }
        Part::Address { .. } | Part::Route { .. } => {
            let mut parts = observed.links.iter().flat_map(ObservedLink::parts);
            parts.any(|seen| seen.id() == id).then(Vec::new)
        }
    }
}

/// One step, one request to the kernel. What shall go and is gone has gone.
fn execute(step: &Step, keyed: &Keyed<'_>, xfrm: &mut dyn Xfrm) -> Result<(), Cause> {
    let gone = |result: Result<(), XfrmError>| match result {
        Err(error) if error.not_found() => Ok(()),
        other => other,
    };
    let answer = match step {
        Step::AddSa(SaStep { sa, .. }) => {
            let known = keyed.get(&sa.id).filter(|keyed| keyed.sa == *sa);
            xfrm.add_sa(sa, &known.ok_or(Cause::NoKeys { sa: sa.id })?.keys)
        }
        Step::DeleteSa(old) => gone(xfrm.delete_sa(&old.sa.id)),
        Step::AddPolicy(new) => xfrm.add_policy(&new.policy),
        Step::UpdatePolicy { new, .. } => xfrm.update_policy(&new.policy),
        Step::DeletePolicy(old) => gone(xfrm.delete_policy(&old.policy.id)),
        Step::AddPart(new) => xfrm.add_part(&new.part),
        Step::UpdateLink { new, .. } => xfrm.update_link(new),
        Step::DeletePart(old) => gone(xfrm.delete_part(&old.part)),
        Step::SetDefault { new, .. } => xfrm.set_default_policy(*new),
    };
    answer.map_err(|source| Cause::Step { step: Box::new(step.clone()), source })
}

impl From<RecordError> for Cause {
    fn from(source: RecordError) -> Self {
        Self::Record(source)
    }
}

impl From<XfrmError> for Cause {
    fn from(source: XfrmError) -> Self {
        Self::Observe(source)
    }
}
