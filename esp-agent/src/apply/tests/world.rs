//! A kernel and a record file that survive the agent, and a crash after any number of their changes.

use crate::apply::{Applied, ApplyError, apply};
use crate::config::desired::Desired;
use crate::plan::{Conflict, Observed, Plan, diff, plan, samples, teardown};
use crate::record::{FileStore, Record, Scope, Store};
use crate::xfrm::fake::FakeXfrm;
use crate::xfrm::interface::{ObservedLink, Part, PartId, XfrmLink};
use crate::xfrm::model::*;
use crate::xfrm::{NetlinkError, Xfrm, XfrmError};
use esp_common::Spi;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What outlives an agent.
#[derive(Default)]
pub(super) struct Kernel {
    pub(super) sas: BTreeMap<SaId, ObservedSa>,
    pub(super) policies: BTreeMap<PolicyId, ObservedPolicy>,
    pub(super) default_policy: Option<DefaultPolicy>,
    /// Its links.
    pub(super) links: FakeXfrm,
    clock: u64,
    /// Half changes until the agent is dead: each change has a moment before and one after its effect.
    fuel: Option<usize>,
    /// Names of changes, in order.
    pub(super) log: Vec<&'static str>,
    /// The kernel refuses the change of this number, counted from 1.
    pub(super) refuse: Option<usize>,
    /// The record's disk is full from this save on, counted from 1.
    pub(super) full_from: Option<usize>,
    saves: usize,
}

impl Kernel {
    /// One change: `effect` happens unless the agent dies before it; it is told unless it dies after.
    fn change<T>(&mut self, effect: impl FnOnce(&mut Self) -> T) -> Result<T, i32> {
        self.burn()?;
        let result = effect(self);
        self.burn()?;
        Ok(result)
    }

    fn burn(&mut self) -> Result<(), i32> {
        match &mut self.fuel {
            Some(0) => Err(libc::EINTR),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn kernel_change(
        &mut self,
        name: &'static str,
        effect: impl FnOnce(&mut Self) -> Result<(), i32>,
    ) -> Result<(), XfrmError> {
        let number = self.log.len() + 1;
        let refused = self.refuse == Some(number);
        let answer = self.change(|kernel| {
            kernel.log.push(name);
            if refused { Err(libc::EPROTONOSUPPORT) } else { effect(kernel) }
        });
        answer.and_then(|answer| answer).map_err(|errno| refusal(name, errno))
    }

    pub(super) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn put_sa(&mut self, sa: &Sa) {
        let added_s = self.tick();
        self.sas.insert(sa.id, samples::observed_sa(sa, added_s));
    }

    /// As the kernel does it: an update keeps the index and renews the time.
    pub(super) fn put_policy(&mut self, policy: &Policy) {
        let added_s = self.tick();
        let index = self.policies.get(&policy.id).map_or(added_s as u32 * 8, |seen| seen.index);
        self.policies.insert(policy.id.clone(), samples::observed_policy(policy, index, added_s));
    }
}

/// The object is not what these tests look at.
fn refusal(what: &'static str, errno: i32) -> XfrmError {
    let (spi, dst, source) = (Spi::new(0), IpAddr::from([0; 4]), NetlinkError::new(errno));
    let (selector, dir) = (String::new(), "out");
    match what {
        "add sa" => XfrmError::AddSa { spi, dst, source },
        "delete sa" => XfrmError::DeleteSa { spi, dst, source },
        "add policy" => XfrmError::AddPolicy { selector, dir, source },
        "update policy" => XfrmError::UpdatePolicy { selector, dir, source },
        "delete policy" => XfrmError::DeletePolicy { selector, dir, source },
        "add part" | "delete part" => {
            XfrmError::Part { verb: "change", part: PartId::Link(String::new()), source }
        }
        what => XfrmError::Dump { what, source },
    }
}

fn errno(result: Result<(), XfrmError>) -> Result<(), i32> {
    result.map_err(|error| if let XfrmError::Part { source, .. } = error { source.errno } else { libc::EIO })
}

/// One agent's hold on the kernel.
pub(super) struct Agent(Arc<Mutex<Kernel>>);

impl Xfrm for Agent {
    fn sas(&mut self) -> Result<Vec<ObservedSa>, XfrmError> {
        self.alive("dump sa")?;
        Ok(self.0.lock().unwrap().sas.values().cloned().collect())
    }

    fn policies(&mut self) -> Result<Vec<ObservedPolicy>, XfrmError> {
        self.alive("dump policies")?;
        Ok(self.0.lock().unwrap().policies.values().cloned().collect())
    }

    fn add_sa(&mut self, sa: &Sa, keys: &SaKeys) -> Result<(), XfrmError> {
        assert_eq!(keys.print(), sa.keys);
        self.0.lock().unwrap().kernel_change("add sa", |kernel| {
            if kernel.sas.contains_key(&sa.id) {
                return Err(libc::EEXIST);
            }
            kernel.put_sa(sa);
            Ok(())
        })
    }

    fn sa(&mut self, id: &SaId) -> Result<Option<ObservedSa>, XfrmError> {
        self.alive("dump sa")?;
        Ok(self.0.lock().unwrap().sas.get(id).cloned())
    }

    fn update_sa(&mut self, sa: &Sa, _: &SaKeys) -> Result<(), XfrmError> {
        self.0.lock().unwrap().kernel_change("update sa", |kernel| {
            kernel.sas.contains_key(&sa.id).then(|| kernel.put_sa(sa)).ok_or(libc::ESRCH)
        })
    }

    fn delete_sa(&mut self, id: &SaId) -> Result<(), XfrmError> {
        let gone = |kernel: &mut Kernel| kernel.sas.remove(id).map(|_| ()).ok_or(libc::ESRCH);
        self.0.lock().unwrap().kernel_change("delete sa", gone)
    }

    fn add_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.0.lock().unwrap().kernel_change("add policy", |kernel| {
            if kernel.policies.contains_key(&policy.id) {
                return Err(libc::EEXIST);
            }
            kernel.put_policy(policy);
            Ok(())
        })
    }

    fn update_policy(&mut self, policy: &Policy) -> Result<(), XfrmError> {
        self.0.lock().unwrap().kernel_change("update policy", |kernel| {
            kernel.put_policy(policy);
            Ok(())
        })
    }

    fn delete_policy(&mut self, id: &PolicyId) -> Result<(), XfrmError> {
        let gone = |kernel: &mut Kernel| kernel.policies.remove(id).map(|_| ()).ok_or(libc::ENOENT);
        self.0.lock().unwrap().kernel_change("delete policy", gone)
    }

    fn links(&mut self) -> Result<Vec<ObservedLink>, XfrmError> {
        self.alive("dump links")?;
        self.0.lock().unwrap().links.links()
    }

    fn add_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.0.lock().unwrap().kernel_change("add part", |kernel| errno(kernel.links.add_part(part)))
    }

    fn update_link(&mut self, link: &XfrmLink) -> Result<(), XfrmError> {
        self.0.lock().unwrap().kernel_change("update link", |kernel| errno(kernel.links.update_link(link)))
    }

    fn delete_part(&mut self, part: &Part) -> Result<(), XfrmError> {
        self.0.lock().unwrap().kernel_change("delete part", |kernel| errno(kernel.links.delete_part(part)))
    }

    fn apart(&self) -> std::io::Result<Box<dyn Xfrm>> {
        Ok(Box::new(crate::xfrm::fake::FakeXfrm::new()))
    }

    fn default_policy(&mut self) -> Result<Option<DefaultPolicy>, XfrmError> {
        self.alive("default policy")?;
        Ok(self.0.lock().unwrap().default_policy)
    }

    fn set_default_policy(&mut self, policy: DefaultPolicy) -> Result<(), XfrmError> {
        self.0.lock().unwrap().kernel_change("set default policy", |kernel| {
            kernel.default_policy = Some(policy);
            Ok(())
        })
    }
}

impl Agent {
    fn alive(&self, what: &'static str) -> Result<(), XfrmError> {
        if self.0.lock().unwrap().fuel == Some(0) { Err(refusal(what, libc::EINTR)) } else { Ok(()) }
    }
}

/// The real file, behind the same fuel.
struct CrashStore(FileStore, Arc<Mutex<Kernel>>);

impl Store for CrashStore {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        self.0.load()
    }

    fn save(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut kernel = self.1.lock().unwrap();
        kernel.saves += 1;
        if kernel.full_from.is_some_and(|from| kernel.saves >= from) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        kernel.change(|_| self.0.save(bytes)).map_err(io::Error::from_raw_os_error)?
    }
}

/// A gateway on which agents come and go.
pub(super) struct Gateway {
    pub(super) kernel: Arc<Mutex<Kernel>>,
    dir: tempfile::TempDir,
}

/// How one run of an agent ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Conflicts(Vec<Conflict>),
    Failed(ApplyError),
    Applied(Applied),
}

impl Outcome {
    pub(super) fn applied(self) -> Applied {
        match self {
            Self::Applied(applied) => applied,
            Self::Conflicts(conflicts) => panic!("{conflicts:?}"),
            Self::Failed(error) => panic!("{error}"),
        }
    }

    pub(super) fn failed(self) -> ApplyError {
        match self {
            Self::Failed(error) => error,
            other @ (Self::Conflicts(_) | Self::Applied(_)) => panic!("{other:?}"),
        }
    }
}

impl Gateway {
    pub(super) fn new() -> Self {
        Self { kernel: Arc::default(), dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn agent(&self) -> Agent {
        Agent(self.kernel.clone())
    }

    pub(super) fn record(&self) -> Record {
        let file = FileStore::new(self.dir.path().join("owned.json"));
        let scope = Scope { boot_id: "boot".into(), netns: "host".into() };
        Record::open(Box::new(CrashStore(file, self.kernel.clone())), scope).unwrap()
    }

    pub(super) fn observed(&self) -> Observed {
        Observed::of(&mut self.agent()).unwrap()
    }

    pub(super) fn plan(&self, desired: &Desired) -> Result<Plan, Vec<Conflict>> {
        let observed = self.observed();
        plan(desired, &observed, &self.record().reconcile(&observed))
    }

    /// A new agent starts, plans and applies; it dies after `fuel` half changes.
    pub(super) fn run(&self, desired: &Desired, fuel: Option<usize>) -> Outcome {
        let (mut record, observed) = (self.record(), self.observed());
        let owned = record.reconcile(&observed);
        record.save().ok(); // a full disk is met again by `apply`, which has to say so
        match plan(desired, &observed, &owned) {
            Err(conflicts) => Outcome::Conflicts(conflicts),
            Ok(plan) => self.spend(fuel, |agent| apply(&plan, desired, agent, &mut record)),
        }
    }

    /// A new agent takes away what is ours; it dies after `fuel` half changes.
    pub(super) fn detach(&self, fuel: Option<usize>) -> Outcome {
        let (mut record, nothing) = (self.record(), Desired::default());
        let plan = teardown(&mut record, &self.observed());
        self.spend(fuel, |agent| apply(&plan, &nothing, agent, &mut record))
    }

    fn spend(
        &self,
        fuel: Option<usize>,
        work: impl FnOnce(&mut Agent) -> Result<Applied, ApplyError>,
    ) -> Outcome {
        self.kernel.lock().unwrap().fuel = fuel;
        let result = work(&mut self.agent());
        self.kernel.lock().unwrap().fuel = None;
        result.map_or_else(Outcome::Failed, Outcome::Applied)
    }

    /// Asserts that `desired` is there, `foreign` is untouched, nothing else is, and a further plan is empty.
    pub(super) fn assert_converged(&self, desired: &Desired, foreign: &Observed, when: &str) {
        let seen = self.observed();
        for keyed in &desired.sas {
            let found = seen.sas_by_id()[&keyed.sa.id];
            assert_eq!(diff::sa(&keyed.sa, found), [""; 0], "{when}");
        }
        for named in &desired.policies {
            let found = seen.policies_by_id()[&named.policy.id];
            assert_eq!(found.policy, named.policy, "{when}");
        }
        let parts: Vec<Part> = seen.links.iter().flat_map(ObservedLink::parts).collect();
        assert_eq!(
            parts.iter().map(Part::id).collect::<BTreeSet<_>>(),
            desired.parts.iter().map(|named| named.part.id()).collect(),
            "{when}"
        );
        self.assert_untouched(foreign, when);
        let foreign_sas = foreign.sas_by_id();
        let foreign_policies = foreign.policies_by_id();
        let sas = desired.sas.iter().filter(|keyed| !foreign_sas.contains_key(&keyed.sa.id)).count();
        let policies =
            desired.policies.iter().filter(|named| !foreign_policies.contains_key(&named.policy.id)).count();
        assert_eq!(seen.sas.len(), foreign.sas.len() + sas, "orphan or duplicate sa {when}");
        assert_eq!(
            seen.policies.len(),
            foreign.policies.len() + policies,
            "orphan or duplicate policy {when}"
        );
        assert_eq!(self.plan(desired).unwrap().steps, [], "{when}");
    }

    /// Asserts that every object of `foreign` is as it was, its time of making included.
    pub(super) fn assert_untouched(&self, foreign: &Observed, when: &str) {
        let seen = self.observed();
        for theirs in &foreign.sas {
            assert_eq!(seen.sas_by_id().get(&theirs.sa.id), Some(&theirs), "{when}");
        }
        for theirs in &foreign.policies {
            assert_eq!(seen.policies_by_id().get(&theirs.policy.id), Some(&theirs), "{when}");
        }
    }
}
