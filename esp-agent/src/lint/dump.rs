//! The text of `ip xfrm state` and `ip xfrm policy`, with and without `-s`, `nokeys` or not, in any mixture.
//!
//! What is not needed is passed over, so that a newer iproute2 can print more. Keys are never kept, and no error quotes
//! the text.

mod policy;
mod state;
mod words;

use super::{Facts, Finding, Scene};
use crate::xfrm::model::{ObservedPolicy, ObservedSa, PolicyId, SaId};
use std::collections::HashSet;
use words::Line;

/// What a dump holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Dump {
    /// SAs.
    pub sas: Vec<ObservedSa>,
    /// Policies.
    pub policies: Vec<ObservedPolicy>,
    /// Of `sas`: a kernel has each once, two files of one host may both show it.
    sa_ids: HashSet<SaId>,
    /// Of `policies`, without those of sockets.
    policy_ids: HashSet<PolicyId>,
}

/// A line that cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct DumpError {
    /// From 1.
    pub line: usize,
    /// What is wrong, without the text itself.
    pub text: &'static str,
}

impl Dump {
    /// Adds what `text` holds.
    ///
    /// # Errors
    /// The first line that cannot be understood.
    pub fn read(&mut self, text: &str) -> Result<(), DumpError> {
        let lines: Vec<Line<'_>> = words::lines(text).collect();
        let mut rest = lines.as_slice();
        while let Some((first, behind)) = rest.split_first() {
            if first.indented || !first.starts("src") {
                return Err(first.error("is not what `ip xfrm state` or `ip xfrm policy` prints"));
            }
            let len = behind.iter().take_while(|line| line.indented).count();
            let (body, next) = behind.split_at(len);
            self.record(first, body)?;
            rest = next;
        }
        Ok(())
    }

    fn record(&mut self, first: &Line<'_>, body: &[Line<'_>]) -> Result<(), DumpError> {
        let Some(head) = body.first() else { return Err(first.error("is cut off behind this line")) };
        if head.starts("proto") {
            let seen = state::read(first, body)?;
            if self.sa_ids.insert(seen.sa.id) {
                self.sas.push(seen);
            }
        } else if head.starts("dir") || head.starts("socket") {
            let seen = policy::read(first, body)?;
            // The policies of sockets say nothing of the host.
            if head.starts("dir") && self.policy_ids.insert(seen.policy.id.clone()) {
                self.policies.push(seen);
            }
        } else {
            return Err(head.error("has neither the `proto` of a state nor the `dir` of a policy"));
        }
        Ok(())
    }

    /// What is found. A dump without states says nothing of states, one without policies nothing of policies.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let facts = Facts {
            all_sas: !self.sas.is_empty(),
            all_policies: !self.policies.is_empty(),
            forwarding: None,
            locals: Vec::new(),
            now_s: None,
        };
        Scene { sas: &self.sas, policies: &self.policies, facts: &facts }.findings()
    }
}

#[cfg(test)]
mod tests;
