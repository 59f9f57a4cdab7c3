//! The ownership record: which objects of the kernel this agent made.
//!
//! The kernel stores no owner with an SA or a policy, so it is written down: before a step the intent, after
//! it the completion. What is found in the record is compared with the kernel before it is believed: an object
//! that someone replaced since is not ours any more. The record lives under /run, as XFRM state does: both
//! end with the boot. It holds neither keys nor digests of keys.
//!
//! What it cannot tell: times are whole seconds (`xfrm_lifetime_cur.add_time`), so an object that is deleted
//! and made again by another program with the same attributes within the same second still counts as ours.

mod default;
mod entry;
mod error;
mod part;
mod store;

#[cfg(test)]
mod tests;

pub use error::RecordError;
pub use store::{FileStore, Store};

use crate::instance::Instance;
use crate::plan::{Observed, Step};
use crate::xfrm::interface::{Part, PartId};
use crate::xfrm::model::{DefaultPolicy, PolicyId, SaId};
use default::DefaultTag;
use entry::{Entry, PolicyTag, SaTag, State, Tag};
use part::PartTag;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Version of the file. It changes with every change of meaning of a field of a tag.
const SCHEMA: u32 = 1;

/// The objects that are ours and are in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Owned {
    /// SAs.
    pub sas: BTreeSet<SaId>,
    /// Policies.
    pub policies: BTreeSet<PolicyId>,
    /// XFRM interfaces, their addresses and routes.
    pub parts: BTreeSet<PartId>,
    /// The default policy before we set ours, while ours is in force.
    pub default_before: Option<DefaultPolicy>,
}

/// What a record holds for: it says nothing about another boot or another network namespace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scope {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// [`crate::instance::Netns::label`]: the cookie of the network namespace.
    pub netns: String,
}

impl Scope {
    /// Of the running kernel and `instance`.
    ///
    /// # Errors
    /// The boot id cannot be read.
    pub fn of(instance: &Instance) -> io::Result<Self> {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
        Ok(Self { boot_id, netns: instance.netns.label() })
    }
}

/// The record, read into memory; [`Record::intend`] and [`Record::complete`] write it back.
pub struct Record {
    store: Box<dyn Store>,
    content: Content,
    /// As it was last read or written, so that nothing is written twice.
    saved: Content,
    discarded: Option<Scope>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Content {
    schema: u32,
    #[serde(flatten)]
    scope: Scope,
    sas: Vec<Entry<SaTag>>,
    policies: Vec<Entry<PolicyTag>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Entry<PartTag>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_policy: Option<DefaultTag>,
}

/// The part of the file that every version has.
#[derive(Deserialize)]
struct Head {
    schema: u32,
    #[serde(flatten)]
    scope: Scope,
}

impl Record {
    /// Opens the record of `instance`, whose lock the caller holds unless it only reads.
    ///
    /// # Errors
    /// Unreadable, damaged, of another version.
    pub fn of(instance: &Instance) -> Result<Self, RecordError> {
        let scope = Scope::of(instance).map_err(RecordError::Scope)?;
        Self::open(Box::new(FileStore::new(path(instance))), scope)
    }

    /// True when an agent has written one for `instance`, of whatever content.
    #[must_use]
    pub fn exists(instance: &Instance) -> bool {
        path(instance).exists()
    }

    /// Opens the record in `store`. One of another scope is discarded: its objects ended with their boot or
    /// their namespace, see [`Record::discarded`].
    ///
    /// # Errors
    /// Unreadable, damaged, of another version.
    pub fn open(store: Box<dyn Store>, scope: Scope) -> Result<Self, RecordError> {
        let path = store.path().to_owned();
        let bytes = store.load().map_err(|source| RecordError::Read { path: path.clone(), source })?;
        let fresh = Content {
            schema: SCHEMA,
            scope,
            sas: Vec::new(),
            policies: Vec::new(),
            parts: Vec::new(),
            default_policy: None,
        };
        let (content, discarded) = match bytes {
            None => (fresh.clone(), None),
            Some(bytes) => parse(&bytes, &path, &fresh)?,
        };
        Ok(Self { store, saved: content.clone(), content, discarded })
    }

    /// The scope of the record that was found and discarded, worth a line in the log.
    #[must_use]
    pub const fn discarded(&self) -> Option<&Scope> {
        self.discarded.as_ref()
    }

    /// Which of the recorded objects are in the kernel and still ours. The record forgets the others and learns
    /// the times and indices that the kernel gave. Whoever holds the lock saves it then, also when no plan follows:
    /// a line without a time is a claim on whatever looks like it.
    pub fn reconcile(&mut self, observed: &Observed) -> Owned {
        let sas = observed.sas_by_id().into_iter().filter(|(_, seen)| !seen.larval);
        let policies = observed.policies_by_id().into_iter();
        let parts = observed.links.iter().flat_map(|link| {
            link.parts().into_iter().map(|part| (part.id(), Entry::of_part(&part, link.ifindex)))
        });
        let mut owned = Owned {
            sas: still_ours(&mut self.content.sas, sas.map(|(id, seen)| (id, Entry::of_sa(seen)))),
            policies: still_ours(
                &mut self.content.policies,
                policies.map(|(id, seen)| (id.clone(), Entry::of_policy(seen))),
            ),
            parts: still_ours(&mut self.content.parts, parts),
            default_before: None,
        };
        let default = self.content.default_policy;
        self.content.default_policy = default.filter(|tag| tag.in_force(observed.default_policy));
        owned.default_before = self.content.default_policy.map(DefaultTag::before);
        owned
    }

    /// Writes down what `steps` are about to make. A deletion needs no line of its own: the object stays in the
    /// record until it is gone.
    ///
    /// # Errors
    /// Not written: the steps must not be run.
    pub fn intend(&mut self, steps: &[Step]) -> Result<(), RecordError> {
        for step in steps {
            match step {
                Step::AddSa(new) => self.content.sas.push(Entry::intended(SaTag::of(&new.sa))),
                Step::AddPolicy(new) | Step::UpdatePolicy { new, .. } => {
                    self.content.policies.push(Entry::intended(PolicyTag::of(&new.policy)));
                }
                Step::SetDefault { old, new } => {
                    self.content.default_policy =
                        Some(DefaultTag::next(self.content.default_policy, *old, *new));
                }
                Step::AddPart(new) => self.content.parts.push(Entry::intended(PartTag::of(&new.part))),
                Step::DeleteSa(_) | Step::DeletePolicy(_) | Step::DeletePart(_) | Step::UpdateLink { .. } => {
                }
            }
        }
        self.save()
    }

    /// Takes an intent back that led to nothing; kept with the next write.
    pub fn withdraw(&mut self, step: &Step) {
        match step {
            Step::AddSa(new) => remove_newest(&mut self.content.sas, &SaTag::of(&new.sa)),
            Step::AddPolicy(new) | Step::UpdatePolicy { new, .. } => {
                remove_newest(&mut self.content.policies, &PolicyTag::of(&new.policy));
            }
            Step::SetDefault { old, .. } => self.set_default(*old),
            Step::AddPart(new) => remove_newest(&mut self.content.parts, &PartTag::of(&new.part)),
            Step::DeleteSa(_) | Step::DeletePolicy(_) | Step::DeletePart(_) | Step::UpdateLink { .. } => {}
        }
    }

    /// Notes that `step` is done; kept with the next write. Losing that write loses nothing: an intent whose
    /// object is there counts as done, a line whose object is gone is forgotten.
    pub fn complete(&mut self, step: &Step) {
        match step {
            Step::AddSa(new) => set_done(&mut self.content.sas, &SaTag::of(&new.sa)),
            Step::DeleteSa(old) => remove_oldest(&mut self.content.sas, &SaTag::of(&old.sa)),
            Step::AddPolicy(new) => set_done(&mut self.content.policies, &PolicyTag::of(&new.policy)),
            Step::UpdatePolicy { old, new } => {
                remove_oldest(&mut self.content.policies, &PolicyTag::of(old));
                set_done(&mut self.content.policies, &PolicyTag::of(&new.policy));
            }
            Step::DeletePolicy(old) => remove_oldest(&mut self.content.policies, &PolicyTag::of(&old.policy)),
            Step::AddPart(new) => set_done(&mut self.content.parts, &PartTag::of(&new.part)),
            Step::DeletePart(old) => self.forget_part(&old.part),
            Step::UpdateLink { .. } => {}
            Step::SetDefault { new, .. } => self.set_default(*new),
        }
    }

    /// What hangs on a link goes with it.
    fn forget_part(&mut self, part: &Part) {
        remove_oldest(&mut self.content.parts, &PartTag::of(part));
        if let Part::Link(link) = part {
            self.content.parts.retain(|entry| entry.state == State::Intended || !entry.tag.is_on(&link.name));
        }
    }

    fn set_default(&mut self, now: DefaultPolicy) {
        self.content.default_policy = self.content.default_policy.and_then(|tag| tag.set(now));
    }

    /// Writes the record if it changed since it was last written.
    ///
    /// # Errors
    /// Not written: the file is as it was.
    pub fn save(&mut self) -> Result<(), RecordError> {
        if self.content == self.saved {
            return Ok(());
        }
        let written = serde_json::to_vec(&self.content)
            .map_err(io::Error::from)
            .and_then(|bytes| self.store.save(&bytes));
        written.map_err(|source| RecordError::Write { path: self.store.path().to_owned(), source })?;
        self.saved = self.content.clone();
        Ok(())
    }
}

fn path(instance: &Instance) -> PathBuf {
    instance.state_dir.join("owned.json")
}

fn parse(bytes: &[u8], path: &Path, fresh: &Content) -> Result<(Content, Option<Scope>), RecordError> {
    let damaged = |source| RecordError::Damaged { path: path.to_owned(), source };
    let head: Head = serde_json::from_slice(bytes).map_err(damaged)?;
    if head.scope != fresh.scope {
        return Ok((fresh.clone(), Some(head.scope)));
    }
    if head.schema != SCHEMA {
        return Err(RecordError::Schema { path: path.to_owned(), found: head.schema });
    }
    Ok((serde_json::from_slice(bytes).map_err(damaged)?, None))
}

/// Leaves of the lines those whose object is among `there`, with what the kernel says of it now; and whose these are.
fn still_ours<I: Ord, T: Tag>(
    lines: &mut Vec<Entry<T>>,
    there: impl Iterator<Item = (I, Entry<T>)>,
) -> BTreeSet<I> {
    let ours = there.filter(|(_, now)| lines.iter().any(|line| line.describes(now)));
    let (ids, now) = ours.unzip::<_, _, BTreeSet<I>, Vec<_>>();
    *lines = now;
    ids
}

/// A replacement that changes only keys has two lines of one tag: the older one is the object that goes.
fn remove_oldest<T: PartialEq>(entries: &mut Vec<Entry<T>>, tag: &T) {
    if let Some(index) = entries.iter().position(|entry| entry.tag == *tag) {
        entries.remove(index);
    }
}

fn remove_newest<T: PartialEq>(entries: &mut Vec<Entry<T>>, tag: &T) {
    if let Some(index) = entries.iter().rposition(|entry| entry.tag == *tag) {
        entries.remove(index);
    }
}

fn set_done<T: PartialEq>(entries: &mut [Entry<T>], tag: &T) {
    if let Some(entry) = entries.iter_mut().rfind(|entry| entry.tag == *tag) {
        entry.state = State::Done;
    }
}
