//! `kill -9` at every moment: before and after every change of the kernel and of the record.

use super::world::{Gateway, Outcome};
use crate::config::desired::{Desired, NamedPolicy};
use crate::plan::samples::*;
use crate::plan::{Observed, Step};
use crate::xfrm::interface::{Part, XfrmLink};
use crate::xfrm::model::{PolicyDir, SaDir};

/// More half changes than any of these runs has.
const ENOUGH: usize = 400;

fn foreign(gateway: &Gateway) -> Observed {
    let mut kernel = gateway.kernel.lock().unwrap();
    kernel.put_sa(&sa("172.16.0.1", "172.16.0.2", 0x6942_7567, SaDir::Out));
    kernel.put_sa(&sa("10.55.55.1", "10.66.66.1", 0x9999, SaDir::Out));
    kernel.put_policy(&policy(
        PolicyDir::Out,
        ("10.9.0.0", 16),
        ("10.8.0.0", 16),
        ("172.16.0.1", "172.16.0.2"),
    ));
    drop(kernel);
    gateway.observed()
}

/// The lab with a rekeyed SA, a policy of another priority and one of other flags, one policy and one SA less,
/// and one of each more.
fn second() -> Desired {
    let mut desired = lab();
    let inbound = &mut desired.sas[1];
    inbound.keys = keys(&[1; 16], &[2; 16]);
    inbound.sa.keys = inbound.keys.print();
    desired.sas.remove(0);
    desired.sas.push(keyed(sa("10.55.55.1", "10.66.66.1", 0x1234, SaDir::Out), Some("site-b")));
    desired.policies[0].policy.priority = 5;
    desired.policies[1].policy.flags = 1;
    desired.policies.remove(2);
    let extra = policy(PolicyDir::Out, ("10.1.0.0", 16), ("10.2.0.0", 16), ("10.55.55.1", "10.66.66.1"));
    desired.policies.push(NamedPolicy { policy: extra, name: "extra".into(), tunnel: None, device: None });
    desired
}

/// Runs `attempt` with every amount of fuel until it succeeds; each time on a new gateway that `prepare`d.
fn at_every_moment(
    prepare: impl Fn(&Gateway),
    attempt: impl Fn(&Gateway, usize) -> Outcome,
    check: impl Fn(&Gateway, &Observed, &str),
) -> usize {
    for fuel in 0..ENOUGH {
        let gateway = Gateway::new();
        let foreign = foreign(&gateway);
        prepare(&gateway);
        let finished =
            matches!(attempt(&gateway, fuel), Outcome::Applied(ref done) if done.unsealed.is_none());
        check(&gateway, &foreign, &format!("after {fuel} half changes"));
        if finished {
            return fuel;
        }
    }
    panic!("never finished");
}

fn converge(gateway: &Gateway, desired: &Desired, foreign: &Observed, when: &str) {
    gateway.run(desired, None).applied();
    gateway.assert_converged(desired, foreign, when);
    gateway.detach(None).applied();
    let seen = gateway.observed();
    assert_eq!((&seen.sas, &seen.policies), (&foreign.sas, &foreign.policies), "{when}, then detached");
}

#[test]
fn a_first_run_converges() {
    let attempt = |gateway: &Gateway, fuel| gateway.run(&lab(), Some(fuel));
    let moments = at_every_moment(
        |_| {},
        attempt,
        |gateway, foreign, when| {
            converge(gateway, &lab(), foreign, when);
        },
    );
    // Five additions, their intents, their completions, the seal: each with a moment before and after.
    assert_eq!(moments, (5 + 3) * 2);
}

#[test]
fn an_interface_comes_changes_and_goes_at_every_moment() {
    let mut other = routed();
    other.parts[0].part = Part::Link(XfrmLink { name: "ipsec0".into(), if_id: 8, mtu: 1300 });
    other.parts.remove(1);
    let smaller = Desired { parts: other.parts[..1].to_vec(), ..lab() };
    for (from, to) in [(lab(), routed()), (routed(), other), (routed(), smaller), (routed(), lab())] {
        let prepare = |gateway: &Gateway| {
            gateway.run(&from, None).applied();
        };
        let attempt = |gateway: &Gateway, fuel| gateway.run(&to, Some(fuel));
        at_every_moment(prepare, attempt, |gateway, foreign, when| {
            converge(gateway, &to, foreign, when);
            assert_eq!(gateway.observed().links, [], "{when}, then detached");
        });
    }
}

#[test]
fn a_change_converges_to_the_new_and_to_the_old() {
    for target in [second(), lab()] {
        let attempt = |gateway: &Gateway, fuel| gateway.run(&second(), Some(fuel));
        let prepare = |gateway: &Gateway| {
            gateway.run(&lab(), None).applied();
        };
        at_every_moment(prepare, attempt, |gateway, foreign, when| {
            converge(gateway, &target, foreign, when);
        });
    }
}

#[test]
fn a_detach_converges_to_nothing_and_back() {
    for target in [Desired::default(), lab()] {
        let attempt = |gateway: &Gateway, fuel| gateway.detach(Some(fuel));
        let prepare = |gateway: &Gateway| {
            gateway.run(&lab(), None).applied();
        };
        at_every_moment(prepare, attempt, |gateway, foreign, when| {
            converge(gateway, &target, foreign, when);
        });
    }
}

#[test]
fn a_crash_while_undoing_converges() {
    let attempt = |gateway: &Gateway, fuel| {
        let steps = gateway.plan(&second()).unwrap().steps.len();
        let before = gateway.kernel.lock().unwrap().log.len();
        gateway.kernel.lock().unwrap().refuse = Some(before + steps);
        let outcome = gateway.run(&second(), Some(fuel));
        gateway.kernel.lock().unwrap().refuse = None;
        outcome
    };
    for fuel in 0..80 {
        let gateway = Gateway::new();
        let foreign = foreign(&gateway);
        gateway.run(&lab(), None).applied();
        attempt(&gateway, fuel).failed();
        converge(&gateway, &second(), &foreign, &format!("after {fuel} half changes"));
    }
}

#[test]
fn a_second_crash_in_the_repair_converges() {
    for first in 0..30 {
        for again in 0..30 {
            let gateway = Gateway::new();
            let foreign = foreign(&gateway);
            gateway.run(&lab(), None).applied();
            for (desired, fuel) in [(second(), first), (lab(), again)] {
                let outcome = gateway.run(&desired, Some(fuel));
                assert!(!matches!(outcome, Outcome::Conflicts(_)), "{first}, then {again}: {outcome:?}");
            }
            converge(&gateway, &second(), &foreign, &format!("after {first}, then {again} half changes"));
        }
    }
}

#[test]
fn a_large_plan_goes_in_batches() {
    let gateway = Gateway::new();
    let sas = (0..150).map(|n| keyed(sa("10.55.55.1", "10.66.66.1", 0x1000 + n, SaDir::Out), None));
    let desired = Desired { sas: sas.collect(), ..Desired::default() };
    assert!(matches!(gateway.run(&desired, Some(277)), Outcome::Failed(_)));
    assert!((64..150).contains(&gateway.observed().sas.len()));
    let repaired = gateway.run(&desired, None).applied();
    assert!(repaired.done.iter().all(|step| matches!(step, Step::AddSa(_))));
    gateway.assert_converged(&desired, &Observed::default(), "after a crash in the third batch");
}
