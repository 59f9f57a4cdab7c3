//! Why a plan was not carried out.

use super::Undo;
use crate::plan::Step;
use crate::plan::text::SaName;
use crate::record::RecordError;
use crate::sequence::LedgerError;
use crate::xfrm::XfrmError;
use crate::xfrm::model::SaId;

/// The failure, and what came of undoing the steps before it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {undo}")]
pub struct ApplyError {
    /// What failed.
    pub cause: Cause,
    /// The undoing.
    pub undo: Box<Undo>,
}

impl ApplyError {
    /// The kernel's answer, where it was the kernel that refused.
    #[must_use]
    pub const fn xfrm(&self) -> Option<&XfrmError> {
        match &self.cause {
            Cause::Step { source, .. } | Cause::Observe(source) => Some(source),
            Cause::Sequence(_)
            | Cause::Record(_)
            | Cause::Taken { .. }
            | Cause::NoKeys { .. }
            | Cause::NotRecorded { .. } => None,
        }
    }
}

/// One failure.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The record could not be written.
    #[error(transparent)]
    Record(RecordError),
    /// Sequence numbers could not be reserved.
    #[error(transparent)]
    Sequence(LedgerError),
    /// The kernel could not be read.
    #[error("failed to read the kernel's sa, policies and links: {}", chain(.0))]
    Observe(XfrmError),
    /// The kernel refused a step.
    #[error("failed at {}: {}", line(step), chain(source))]
    Step {
        /// The step.
        step: Box<Step>,
        /// Its answer.
        source: XfrmError,
    },
    /// Another program made an object with this identity after the plan was made.
    #[error("failed at {}: another program has just made one that differs in {}", line(step), differs.join(", "))]
    Taken {
        /// The step.
        step: Box<Step>,
        /// Attributes, by name.
        differs: Vec<&'static str>,
    },
    /// The plan was made for another configuration.
    #[error("failed to find the keys of sa {}: plan again, the configuration has changed", SaName(sa))]
    NoKeys {
        /// Identity.
        sa: SaId,
    },
    /// An object was not brought back, for want of a written intent.
    #[error("failed at {}: the ownership record cannot be written", line(step))]
    NotRecorded {
        /// The step.
        step: Box<Step>,
    },
}

/// The first line of a step's text.
fn line(step: &Step) -> String {
    step.to_string().lines().next().unwrap_or_default().to_owned()
}

/// An error and its causes: the kernel's answer is in the last of them.
fn chain(error: &XfrmError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
