//! Brings back what others have undone, and says so.

use super::{Drift, Engine};
use crate::apply::{Applied, ApplyError, Cause, apply};
use crate::config::{Desired, Reconcile};
use crate::drift::{Finding, Object, What, look};
use crate::failure::Failure;
use crate::net::NetEvent;
use crate::plan::{Observed, Plan};
use crate::sequence::LedgerError;
use crate::state::DriftRow;
use crate::xfrm::events::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// From the first event of drift to the reading: a flush by `ip xfrm state deleteall` is many events.
const SETTLE: Duration = Duration::from_millis(50);
/// Between two readings because of drift: who changes things all the time must not keep us busy.
const CALM: Duration = Duration::from_millis(250);

impl Engine {
    /// Notes that the kernel is to be read, should `event` be about something of ours.
    pub(super) fn watch(&mut self, event: &Event) {
        if self.drift.watch.suspects(event) {
            self.look_soon();
        }
    }

    /// The same for links, addresses and routes.
    pub(super) fn watch_net(&mut self, event: &NetEvent) {
        if self.drift.watch.suspects_net(event) {
            self.look_soon();
        }
    }

    fn look_soon(&mut self) {
        if self.config.reconcile != Reconcile::Off {
            let soon = Instant::now() + SETTLE;
            let soon = self.drift.read.map_or(soon, |read| soon.max(read + CALM));
            self.drift.due = Some(self.drift.due.map_or(soon, |due| due.min(soon)));
        }
    }

    /// The operator has said anew what is wanted: nobody is held up by what was before.
    pub(super) fn drift_anew(&mut self) {
        self.drift.backoff.clear();
        self.drift.open.clear();
        self.drift.held.clear();
        self.drift.due = None;
        let mut state = self.shared.state();
        (state.drift, state.reconcile) = (Vec::new(), self.config.reconcile.label().into());
    }

    /// Compares a fresh reading with what is wanted, repairs what may be repaired, and takes the outcome over.
    ///
    /// # Errors
    /// The kernel cannot be read, or a map written. A repair that fails is told and tried again.
    pub(super) fn reconcile(&mut self, observed: Observed) -> Result<(), Failure> {
        (self.drift.due, self.drift.read) = (None, Some(Instant::now()));
        if self.config.reconcile == Reconcile::Off {
            return self.take(observed);
        }
        self.drift.watch.want(&self.config.desired());
        let desired = self.drift.watch.living(self.config.desired());
        let owned = self.record.reconcile(&observed);
        let (findings, plan) = look(&desired, &observed, &owned);
        self.tell(&findings);
        let repaired = match self.config.reconcile {
            Reconcile::Repair => self.repair(&findings, plan, &desired),
            Reconcile::Off | Reconcile::Report => BTreeSet::new(),
        };
        self.drift.open.retain(|object, _| !repaired.contains(object));
        self.show(&findings, &repaired);
        let observed = if repaired.is_empty() { observed } else { Observed::of(&mut self.xfrm)? };
        self.take(observed)
    }

    /// Says and counts what was not known yet.
    fn tell(&mut self, findings: &[Finding]) {
        let mut open = BTreeMap::new();
        for found in findings {
            if self.drift.open.get(&found.object) != Some(&found.what) {
                let times = match self.drift.backoff.count(&found.object) {
                    0 => String::new(),
                    count => format!("; it was brought back {count} times before"),
                };
                tracing::warn!("drift: {found}{times}");
                self.shared.state().count_drift(found.what.label(), found.object.kind());
            }
            open.insert(found.object.clone(), found.what.clone());
        }
        for object in self.drift.open.keys().filter(|object| !open.contains_key(object)) {
            tracing::info!("drift: {object} is as it shall be again");
        }
        self.drift.open = open;
    }

    /// Repairs all that is due. An object whose step fails waits, and does not hold up the others.
    fn repair(&mut self, findings: &[Finding], plan: Plan, desired: &Desired) -> BTreeSet<Object> {
        let now = std::time::Instant::now();
        self.drift.backoff.forget(now);
        let ours = findings.iter().filter(|found| !matches!(found.what, What::Foreign(_)));
        let mut due: BTreeSet<Object> = ours
            .map(|found| &found.object)
            .filter(|object| self.drift.backoff.due(object, now) <= now)
            .cloned()
            .collect();
        while !due.is_empty() {
            let steps = plan.steps.iter().filter(|step| due.contains(&Object::of(step))).cloned();
            let part = Plan { steps: steps.collect(), notes: Vec::new() };
            match apply(&part, desired, &mut self.xfrm, &mut self.record) {
                Ok(applied) => {
                    due.iter().for_each(|object| self.drift.backoff.repaired(object, now));
                    self.repaired(&applied);
                    return due;
                }
                Err(error) => self.failed(&error, &mut due, now),
            }
        }
        due
    }

    fn repaired(&self, applied: &Applied) {
        for step in &applied.done {
            tracing::info!("repaired: {step}");
        }
        if let Some(cause) = &applied.unsealed {
            tracing::warn!(
                "the record of what is ours is not up to date, the next reading brings it there: {cause}"
            );
        }
        let objects: BTreeSet<Object> = applied.done.iter().map(Object::of).collect();
        self.shared.state().repairs_ok += objects.len() as u64;
    }

    /// Takes the object that failed out of those that are due; all of them where it is not about one.
    fn failed(&mut self, error: &ApplyError, due: &mut BTreeSet<Object>, now: std::time::Instant) {
        tracing::error!("failed to repair, tried again later: {error}");
        self.shared.state().repairs_failed += 1;
        let late: BTreeSet<Object> = match &error.cause {
            Cause::Step { step, .. } | Cause::Taken { step, .. } => [Object::of(step)].into(),
            Cause::Sequence(LedgerError::Nonce { sa, .. } | LedgerError::Exhausted { sa, .. }) => {
                [Object::Sa(*sa)].into()
            }
            Cause::Sequence(_)
            | Cause::Record(_)
            | Cause::Observe(_)
            | Cause::NoKeys { .. }
            | Cause::NotRecorded { .. } => due.clone(),
        };
        late.iter().for_each(|object| self.drift.backoff.repaired(object, now));
        let before = due.len();
        due.retain(|object| !late.contains(object));
        if due.len() == before {
            due.clear();
        }
    }

    /// What is left, for `status` and metrics; and when it is looked at again.
    fn show(&mut self, findings: &[Finding], repaired: &BTreeSet<Object>) {
        let now = std::time::Instant::now();
        let left = findings.iter().filter(|found| !repaired.contains(&found.object));
        let repairs = self.config.reconcile == Reconcile::Repair;
        let (mut rows, mut next) = (Vec::new(), None::<Duration>);
        for found in left {
            let wait = self.drift.wait(found, now).filter(|_| repairs);
            next = next.into_iter().chain(wait).min();
            rows.push(DriftRow {
                object: found.object.kind().into(),
                kind: found.what.label().into(),
                text: found.to_string(),
                repairs: self.drift.backoff.count(&found.object),
                retry_s: wait.map(|wait| wait.as_secs_f64().ceil() as u64),
            });
            if let Some(wait) = wait {
                self.drift.hold(&found.object, wait);
            }
        }
        self.drift.due = next.map(|wait| Instant::now() + wait);
        let mut state = self.shared.state();
        (state.drift, state.reconcile) = (rows, self.config.reconcile.label().into());
    }
}

impl Drift {
    /// Says once for each repair that the next one waits.
    fn hold(&mut self, object: &Object, wait: Duration) {
        let count = self.backoff.count(object);
        if self.held.insert(object.clone(), count) != Some(count) {
            let wait = wait.as_secs_f64();
            tracing::warn!(
                "drift: {object} is left alone for {wait:.1} s: something undoes it again and again"
            );
        }
    }

    /// Until the next attempt; `None` for what is not ours to repair.
    fn wait(&self, found: &Finding, now: std::time::Instant) -> Option<Duration> {
        let ours = !matches!(found.what, What::Foreign(_));
        ours.then(|| self.backoff.due(&found.object, now).saturating_duration_since(now))
    }
}
