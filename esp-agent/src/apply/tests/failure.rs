//! Steps that fail, disks that are full, strangers that are faster.

use super::world::Gateway;
use crate::apply::{Cause, apply};
use crate::plan::samples::*;
use crate::plan::{Observed, Step};
use crate::xfrm::model::{Policy, PolicyAction};

#[test]
fn a_failed_step_takes_back_the_others_and_both_are_told() {
    for refused in 1..=5 {
        let gateway = Gateway::new();
        gateway.kernel.lock().unwrap().refuse = Some(refused);
        let error = gateway.run(&lab(), None).failed();
        assert_eq!((error.undo.undone, error.undo.failures.len()), (refused - 1, 0), "{error}");
        assert!(error.xfrm().unwrap().lacks());
        assert!(error.to_string().contains("93"), "the kernel's answer is told: {error}");
        assert_eq!((gateway.observed().sas.len(), gateway.observed().policies.len()), (0, 0));
        gateway.run(&lab(), None).applied();
    }
}

#[test]
fn the_undoing_is_in_reverse_and_goes_on_after_a_failure() {
    let gateway = Gateway::new();
    gateway.kernel.lock().unwrap().refuse = Some(5);
    gateway.run(&lab(), None).failed();
    let expected = ["add sa", "add sa", "add policy", "add policy", "add policy"];
    let undone = ["delete policy", "delete policy", "delete sa", "delete sa"];
    assert_eq!(gateway.kernel.lock().unwrap().log, [&expected[..], &undone].concat());

    let gateway = Gateway::new();
    let applied = gateway.run(&lab(), None).applied();
    gateway.kernel.lock().unwrap().refuse = Some(6);
    let undo = applied.undo(&mut gateway.agent(), &mut gateway.record());
    assert_eq!((undo.undone, undo.failures.len()), (4, 1), "{undo}");
    gateway.kernel.lock().unwrap().refuse = None;
    gateway.detach(None).applied();
    gateway.assert_converged(&nothing(), &Observed::default(), "after a failed undo");
}

fn nothing() -> crate::config::desired::Desired {
    crate::config::desired::Desired::default()
}

#[test]
fn an_undone_change_of_policies_is_as_before_and_still_ours() {
    let gateway = Gateway::new();
    gateway.run(&lab(), None).applied();
    let mut other = lab();
    other.policies[0].policy.priority = 1;
    other.policies[1].policy.action = PolicyAction::Block;
    other.policies.remove(2);
    gateway.kernel.lock().unwrap().refuse = Some(5 + 3);
    let error = gateway.run(&other, None).failed();
    assert_eq!((error.undo.undone, error.undo.lost.len()), (2, 0), "{error}");
    gateway.assert_converged(&lab(), &Observed::default(), "after an undone change");
}

#[test]
fn a_replaced_sa_that_cannot_come_back_is_named() {
    let gateway = Gateway::new();
    gateway.run(&lab(), None).applied();
    let mut other = lab();
    other.sas[0].sa.reqid = 9;
    gateway.kernel.lock().unwrap().refuse = Some(5 + 2);
    let error = gateway.run(&other, None).failed();
    assert_eq!(error.undo.lost, [lab_sa_out().id]);
    assert!(error.to_string().contains("cannot come back"), "{error}");
    gateway.run(&lab(), None).applied();
    gateway.assert_converged(&lab(), &Observed::default(), "after a lost sa");
}

#[test]
fn without_a_record_nothing_is_changed() {
    let gateway = Gateway::new();
    gateway.kernel.lock().unwrap().full_from = Some(1);
    let error = gateway.run(&lab(), None).failed();
    assert!(matches!(error.cause, Cause::Record(_)) && error.to_string().contains("free space"), "{error}");
    assert!(gateway.kernel.lock().unwrap().log.is_empty());
}

#[test]
fn a_disk_that_fills_up_leaves_the_kernel_as_it_was() {
    let gateway = Gateway::new();
    gateway.kernel.lock().unwrap().full_from = Some(2);
    let error = gateway.run(&lab(), None).failed();
    assert!(matches!(error.cause, Cause::Record(_)), "{error}");
    assert_eq!(gateway.observed().sas.len() + gateway.observed().policies.len(), 0);
    gateway.kernel.lock().unwrap().full_from = None;
    gateway.run(&lab(), None).applied();
    gateway.assert_converged(&lab(), &Observed::default(), "with space again");
}

#[test]
fn a_full_disk_brings_nothing_back_that_nobody_would_own() {
    let gateway = Gateway::new();
    gateway.run(&lab(), None).applied();
    gateway.kernel.lock().unwrap().full_from = Some(4);
    let error = gateway.detach(None).failed();
    assert!(error.undo.failures.iter().any(|cause| matches!(cause, Cause::NotRecorded { .. })), "{error}");
    assert_eq!(gateway.observed().policies.len(), 0);
    gateway.kernel.lock().unwrap().full_from = None;
    gateway.run(&lab(), None).applied();
    gateway.assert_converged(&lab(), &Observed::default(), "with space again");
}

#[test]
fn a_stranger_between_plan_and_apply_keeps_its_equal_object() {
    let gateway = Gateway::new();
    let mut record = gateway.record();
    let plan = gateway.plan(&lab()).unwrap();
    gateway.kernel.lock().unwrap().put_sa(&lab_sa_out());
    gateway.kernel.lock().unwrap().put_policy(&lab_policies()[0]);
    let theirs = gateway.observed();
    let applied = apply(&plan, &lab(), &mut gateway.agent(), &mut record).unwrap();
    assert!(matches!(applied.already_there[..], [Step::AddSa(_), Step::AddPolicy(_)]));
    gateway.assert_converged(&lab(), &theirs, "beside a stranger");
    gateway.detach(None).applied();
    gateway.assert_converged(&nothing(), &theirs, "detached");
}

#[test]
fn a_stranger_between_plan_and_apply_keeps_its_different_object() {
    let gateway = Gateway::new();
    let mut record = gateway.record();
    let plan = gateway.plan(&lab()).unwrap();
    gateway.kernel.lock().unwrap().put_policy(&Policy { priority: 3, ..lab_policies().remove(2) });
    let theirs = gateway.observed();
    let error = apply(&plan, &lab(), &mut gateway.agent(), &mut record).unwrap_err();
    assert!(matches!(error.cause, Cause::Taken { ref differs, .. } if differs == &["priority"]), "{error}");
    gateway.assert_converged(&nothing(), &theirs, "after the failure");
}

#[test]
fn a_plan_for_another_configuration_is_refused() {
    let gateway = Gateway::new();
    let plan = gateway.plan(&lab()).unwrap();
    let error = apply(&plan, &nothing(), &mut gateway.agent(), &mut gateway.record()).unwrap_err();
    assert!(matches!(error.cause, Cause::NoKeys { .. }), "{error}");
    assert!(gateway.kernel.lock().unwrap().log.is_empty());
}

#[test]
fn what_shall_go_and_is_gone_is_no_failure() {
    let gateway = Gateway::new();
    gateway.run(&lab(), None).applied();
    let mut record = gateway.record();
    let plan = crate::plan::teardown(&mut record, &gateway.observed());
    gateway.kernel.lock().unwrap().sas.clear();
    apply(&plan, &nothing(), &mut gateway.agent(), &mut record).unwrap();
    gateway.assert_converged(&nothing(), &Observed::default(), "flushed by another");
}
