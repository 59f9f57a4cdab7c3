//! From what is wanted and what is there to the steps between them: pure, ordered, printable.
//!
//! Order: SAs are added, then replaced, so that a kernel that lacks an algorithm says so before anything is
//! lost; then policies are added and updated, so that none ever demands an SA that is not there; then
//! policies that are no longer wanted go, then their SAs. An interface comes before all of them and its routes after,
//! so that nothing is led into it before it can be protected; it goes the other way round.

mod conflict;
pub mod diff;
mod interfaces;
mod json;
mod note;
mod policies;
mod sas;
mod step;
pub mod text;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;

pub use conflict::Conflict;
pub use note::Note;
pub use step::{PartStep, PolicyStep, SaStep, Step};

use crate::config::desired::Desired;
use crate::record::{Owned, Record};
use crate::xfrm::interface::ObservedLink;
use crate::xfrm::model::{DefaultPolicy, ObservedPolicy, ObservedSa, PolicyId, SaId};
use crate::xfrm::{Xfrm, XfrmError};
use std::collections::BTreeMap;

/// What the kernel has.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// All SAs of the namespace.
    pub sas: Vec<ObservedSa>,
    /// All policies of the namespace.
    pub policies: Vec<ObservedPolicy>,
    /// All links of the namespace.
    pub links: Vec<ObservedLink>,
    /// What becomes of packets that no policy matches.
    pub default_policy: Option<DefaultPolicy>,
}

impl Observed {
    /// Reads both databases, and the links. The answer must be complete: what is missing in it counts as gone.
    ///
    /// # Errors
    /// The kernel's.
    pub fn of(xfrm: &mut dyn Xfrm) -> Result<Self, XfrmError> {
        Ok(Self {
            sas: xfrm.sas()?,
            policies: xfrm.policies()?,
            links: xfrm.links()?,
            default_policy: xfrm.default_policy()?,
        })
    }

    /// SAs by identity.
    #[must_use]
    pub fn sas_by_id(&self) -> BTreeMap<SaId, &ObservedSa> {
        self.sas.iter().map(|seen| (seen.sa.id, seen)).collect()
    }

    /// Policies of the namespace by identity, without those that sockets carry: a socket's policy may have the
    /// selector of a real one, and is nobody's but the socket's.
    #[must_use]
    pub fn policies_by_id(&self) -> BTreeMap<&PolicyId, &ObservedPolicy> {
        let of_a_socket = |seen: &&ObservedPolicy| seen.index & 7 >= FIRST_SOCKET_DIR;
        self.policies.iter().filter(|seen| !of_a_socket(seen)).map(|seen| (&seen.policy.id, seen)).collect()
    }
}

/// `XFRM_POLICY_MAX`: policy indices whose low three bits are not below it belong to sockets
/// (`xfrm_sk_policy_insert` in net/xfrm/xfrm_policy.c).
const FIRST_SOCKET_DIR: u32 = 3;

/// The steps from what is there to what is wanted, in the order in which they are run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Steps.
    pub steps: Vec<Step>,
    /// What a reader should know and no step shows.
    pub notes: Vec<Note>,
}

impl Plan {
    /// True when the kernel has what is wanted and nothing of ours beside it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// Compares what is wanted with what is there. `owned` names the objects that are ours, checked against the
/// same `observed` ([`Record::reconcile`]); only those are changed or deleted.
///
/// # Errors
/// All conflicts with objects of others, not only the first.
pub fn plan(desired: &Desired, observed: &Observed, owned: &Owned) -> Result<Plan, Vec<Conflict>> {
    let sas = sas::draft(desired, observed, owned);
    let policies = policies::draft(desired, observed, owned);
    let interfaces = interfaces::draft(desired, observed, owned);
    let conflicts: Vec<Conflict> =
        [interfaces.conflicts, sas.conflicts, policies.conflicts].into_iter().flatten().collect();
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let default = default_step(desired, observed, owned);
    let steps = [
        interfaces.links,
        sas.added,
        sas.replaced,
        policies.added,
        policies.updated,
        default,
        interfaces.routes,
        interfaces.obsolete_routes,
        policies.obsolete,
        sas.obsolete,
        interfaces.obsolete_links,
    ];
    Ok(Plan { steps: steps.concat(), notes: [interfaces.notes, sas.notes, policies.notes].concat() })
}

/// The default policy as it is wanted, or as it was before us. After the policies that let packets pass, and before
/// those that go.
fn default_step(desired: &Desired, observed: &Observed, owned: &Owned) -> Vec<Step> {
    let wanted = desired.default_policy.or(owned.default_before);
    let change = observed.default_policy.zip(wanted).filter(|(old, new)| old != new);
    change.map(|(old, new)| Step::SetDefault { old, new }).into_iter().collect()
}

/// The steps that take away everything of ours and nothing else: routes first, then policies, SAs and interfaces.
#[must_use]
pub fn teardown(record: &mut Record, observed: &Observed) -> Plan {
    let owned = record.reconcile(observed);
    let nothing = Desired::default();
    let sas = sas::draft(&nothing, observed, &owned);
    let policies = policies::draft(&nothing, observed, &owned);
    let interfaces = interfaces::draft(&nothing, observed, &owned);
    let default = default_step(&nothing, observed, &owned);
    Plan {
        steps: [
            interfaces.obsolete_routes,
            default,
            policies.obsolete,
            sas.obsolete,
            interfaces.obsolete_links,
        ]
        .concat(),
        notes: [sas.notes, policies.notes].concat(),
    }
}
