use super::*;
use crate::plan::samples::{lab, lab_keys, observed};
use crate::plan::{Plan, plan, teardown};
use std::path::Path;

fn scope(boot_id: &str, netns: &str) -> Scope {
    Scope { boot_id: boot_id.into(), netns: netns.into() }
}

fn open(dir: &Path) -> Result<Record, RecordError> {
    open_in(dir, scope("boot-1", "host"))
}

fn open_in(dir: &Path, scope: Scope) -> Result<Record, RecordError> {
    Record::open(Box::new(FileStore::new(dir.join("owned.json"))), scope)
}

/// A record of the whole lab, intended and perhaps done.
fn lab_record(dir: &Path, done: bool) -> Plan {
    let plan = plan(&lab(), &Observed::default(), &Owned::default()).unwrap();
    let mut record = open(dir).unwrap();
    record.intend(&plan.steps).unwrap();
    if done {
        plan.steps.iter().for_each(|step| record.complete(step));
        record.save().unwrap();
    }
    plan
}

#[test]
fn intended_or_done_what_is_there_and_matches_is_ours() {
    for done in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        lab_record(dir.path(), done);
        let owned = open(dir.path()).unwrap().reconcile(&observed(&lab()));
        assert_eq!((owned.sas.len(), owned.policies.len()), (2, 3), "done {done}");
    }
}

#[test]
fn what_is_gone_is_forgotten_for_good() {
    let dir = tempfile::tempdir().unwrap();
    lab_record(dir.path(), true);
    let mut record = open(dir.path()).unwrap();
    assert_eq!(record.reconcile(&Observed::default()), Owned::default());
    record.save().unwrap();
    assert_eq!(open(dir.path()).unwrap().reconcile(&observed(&lab())), Owned::default());
}

#[test]
fn what_a_stranger_replaced_is_not_ours_any_more() {
    type Change = fn(&mut Observed);
    let sa_cases: [(&str, Change); 6] = [
        ("made again", |seen| seen.sas[0].added_s += 1),
        ("reqid", |seen| seen.sas[0].sa.reqid += 1),
        ("source", |seen| seen.sas[0].sa.src = "10.0.0.9".parse().unwrap()),
        ("if_id", |seen| seen.sas[0].sa.if_id = 3),
        ("algorithms", |seen| seen.sas[0].sa.suite.auth = None),
        ("larval", |seen| seen.sas[0].larval = true),
    ];
    let policy_cases: [(&str, Change); 3] = [
        ("made again", |seen| seen.policies[0].index += 8),
        ("made again, another priority", |seen| {
            (seen.policies[0].index, seen.policies[0].policy.priority) = (800, 1);
        }),
        ("another selector under its index", |seen| seen.policies[0].policy.id.selector.proto = 6),
    ];
    let cases =
        sa_cases.map(|case| (case, (1, 3))).into_iter().chain(policy_cases.map(|case| (case, (2, 2))));
    for ((name, change), left) in cases {
        let dir = tempfile::tempdir().unwrap();
        lab_record(dir.path(), true);
        let mut record = open(dir.path()).unwrap();
        record.reconcile(&observed(&lab()));
        let mut seen = observed(&lab());
        change(&mut seen);
        let owned = record.reconcile(&seen);
        assert_eq!((owned.sas.len(), owned.policies.len()), left, "{name}");
    }
}

#[test]
fn attributes_that_can_change_in_place_do_not_lose_an_sa() {
    let dir = tempfile::tempdir().unwrap();
    lab_record(dir.path(), true);
    let mut seen = observed(&lab());
    (seen.sas[0].bytes, seen.sas[0].sa.replay_window, seen.sas[0].sa.dir) = (9_000, 64, None);
    assert_eq!(open(dir.path()).unwrap().reconcile(&seen).sas.len(), 2);
}

#[test]
fn a_policy_that_is_updated_in_place_stays_ours() {
    let dir = tempfile::tempdir().unwrap();
    lab_record(dir.path(), true);
    let mut record = open(dir.path()).unwrap();
    record.reconcile(&observed(&lab()));
    let mut seen = observed(&lab());
    (seen.policies[0].added_s, seen.policies[0].policy.priority) = (2_000, 1);
    seen.policies[1].policy.templates.clear();
    assert_eq!(record.reconcile(&seen).policies.len(), 3);
}

#[test]
fn an_sa_that_expires_by_time_is_ours_when_the_clock_was_set() {
    for (limit, ours) in [(None, 1), (Some(0), 1), (Some(3_600), 2)] {
        let dir = tempfile::tempdir().unwrap();
        lab_record(dir.path(), true);
        let mut record = open(dir.path()).unwrap();
        let mut seen = observed(&lab());
        seen.sas[0].sa.limits.hard_add_s = limit;
        record.reconcile(&seen);
        seen.sas[0].added_s = 7;
        assert_eq!(record.reconcile(&seen).sas.len(), ours, "{limit:?}");
    }
}

#[test]
fn a_record_of_another_boot_or_namespace_is_discarded() {
    for other in [scope("boot-2", "host"), scope("boot-1", "netns-9")] {
        let dir = tempfile::tempdir().unwrap();
        lab_record(dir.path(), true);
        let mut record = open_in(dir.path(), other).unwrap();
        assert_eq!(record.discarded(), Some(&scope("boot-1", "host")));
        assert_eq!(record.reconcile(&observed(&lab())), Owned::default());
    }
}

#[test]
fn a_file_that_is_no_record_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("owned.json");
    std::fs::write(&file, b"{").unwrap();
    assert!(matches!(open(dir.path()), Err(RecordError::Damaged { .. })));
    std::fs::write(&file, br#"{"schema":2,"boot_id":"boot-1","netns":"host","objects":[]}"#).unwrap();
    assert!(matches!(open(dir.path()), Err(RecordError::Schema { found: 2, .. })));
    std::fs::write(&file, br#"{"schema":2,"boot_id":"boot-0","netns":"host","objects":[]}"#).unwrap();
    assert!(open(dir.path()).unwrap().discarded().is_some());
}

#[test]
fn a_record_that_cannot_be_written_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let steps = plan(&lab(), &Observed::default(), &Owned::default()).unwrap().steps;
    let mut record = open(&dir.path().join("absent")).unwrap();
    let error = record.intend(&steps).unwrap_err().to_string();
    assert!(error.starts_with("failed to write the ownership record"), "{error}");
}

#[test]
fn the_file_has_no_keys_and_no_prints_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    lab_record(dir.path(), true);
    let text = std::fs::read_to_string(dir.path().join("owned.json")).unwrap();
    let crate::secret::KeyPrint::Digest(print) = lab_keys().print() else { panic!("the lab has keys") };
    for bytes in [&crate::plan::samples::AUTH_KEY[..], &crate::plan::samples::ENC_KEY, &print] {
        assert!(!text.contains(&const_hex::encode(&bytes[..4])));
        assert!(!text.contains(format!("{bytes:?}").trim_matches(['[', ']'])));
    }
}

#[test]
fn the_file_of_this_schema_can_be_read_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("owned.json"), include_str!("tests/owned-1.json")).unwrap();
    let owned = open(dir.path()).unwrap().reconcile(&observed(&lab()));
    assert_eq!((owned.sas.len(), owned.policies.len()), (2, 3));
}

#[test]
fn teardown_takes_ours_policies_first_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let made = lab_record(dir.path(), true);
    let mut seen = observed(&lab());
    let mut foreign = seen.sas[0].clone();
    foreign.sa.id.spi = esp_common::Spi::new(0x7777);
    seen.sas.push(foreign);
    let steps = teardown(&mut open(dir.path()).unwrap(), &seen).steps;
    assert_eq!(steps.len(), made.steps.len());
    let policies = |step: &Step| matches!(step, Step::DeletePolicy(_));
    assert!(
        steps[..3].iter().all(policies) && steps[3..].iter().all(|step| matches!(step, Step::DeleteSa(_)))
    );
}
