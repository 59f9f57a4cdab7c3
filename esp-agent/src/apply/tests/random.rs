//! Any wishes, any strangers, any crash: what is wanted is there and nobody else's is touched.

use super::world::{Gateway, Outcome};
use crate::config::desired::{Desired, NamedPolicy};
use crate::plan::Observed;
use crate::plan::samples::*;
use crate::xfrm::model::{Policy, PolicyDir, Sa, SaDir};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Identity to variant: few of both, so that sets meet.
type Picks = BTreeMap<u8, u8>;

fn picks() -> impl Strategy<Value = Picks> {
    btree_map(0_u8..6, 0_u8..4, 0..5)
}

fn an_sa(identity: u8, variant: u8) -> Sa {
    let mut sa = sa("10.55.55.1", "10.66.66.1", 0x1000 + u32::from(identity), SaDir::Out);
    match variant {
        1 => sa.reqid = 1,
        2 => sa.replay_window = 64,
        3 => sa.keys = keys(&[3; 16], &[4; 16]).print(),
        _ => {}
    }
    sa
}

fn a_policy(identity: u8, variant: u8) -> Policy {
    let net = format!("10.{identity}.0.0");
    let mut policy = policy(PolicyDir::Out, (&net, 16), ("10.200.0.0", 16), ("10.55.55.1", "10.66.66.1"));
    match variant {
        1 => policy.priority = 1,
        2 => policy.templates.clear(),
        3 => policy.flags = 1,
        _ => {}
    }
    policy
}

fn wanted(sas: &Picks, policies: &Picks) -> Desired {
    let keyed_sa = |(identity, variant): (&u8, &u8)| {
        let mut keyed = keyed(an_sa(*identity, *variant), None);
        if *variant == 3 {
            keyed.keys = keys(&[3; 16], &[4; 16]);
        }
        keyed
    };
    let named = |(identity, variant): (&u8, &u8)| NamedPolicy {
        policy: a_policy(*identity, *variant),
        name: format!("p{identity}"),
        tunnel: None,
        device: None,
    };
    Desired {
        sas: sas.iter().map(keyed_sa).collect(),
        policies: policies.iter().map(named).collect(),
        ..Desired::default()
    }
}

/// Strangers put (some of) these in, over whatever is there, ours included; returns all that is theirs now.
fn strangers(gateway: &Gateway, sas: &Picks, policies: &Picks, before: &Observed) -> Observed {
    let mut kernel = gateway.kernel.lock().unwrap();
    sas.iter().for_each(|(identity, variant)| kernel.put_sa(&an_sa(*identity, *variant)));
    for (identity, variant) in policies {
        let theirs = a_policy(*identity, *variant);
        // An update in place would leave it ours.
        kernel.policies.remove(&theirs.id);
        kernel.put_policy(&theirs);
    }
    drop(kernel);
    let mut all = gateway.observed();
    let (old_sas, old_policies) = (before.sas_by_id(), before.policies_by_id());
    let sa_ids: Vec<_> = sas.keys().map(|identity| an_sa(*identity, 0).id).collect();
    let policy_ids: Vec<_> = policies.keys().map(|identity| a_policy(*identity, 0).id).collect();
    all.sas.retain(|seen| sa_ids.contains(&seen.sa.id) || old_sas.contains_key(&seen.sa.id));
    all.policies
        .retain(|seen| policy_ids.contains(&seen.policy.id) || old_policies.contains_key(&seen.policy.id));
    all
}

/// Runs to the end; a conflict changes nothing, and leaves nothing to compare but what is theirs.
fn settle(gateway: &Gateway, desired: &Desired, theirs: &Observed) {
    let before = gateway.observed();
    match gateway.run(desired, None) {
        Outcome::Applied(_) => gateway.assert_converged(desired, theirs, "after a run"),
        Outcome::Failed(error) => panic!("{error}"),
        Outcome::Conflicts(conflicts) => {
            assert!(!conflicts.is_empty());
            let after = gateway.observed();
            assert_eq!((before.sas, before.policies), (after.sas, after.policies));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_elses_is_touched(
        first in (picks(), picks()),
        rounds in vec(((picks(), picks()), (picks(), picks()), 0_usize..40), 1..5),
    ) {
        let gateway = Gateway::new();
        let mut theirs = strangers(&gateway, &first.0, &first.1, &Observed::default());
        for (wish, intruders, fuel) in rounds {
            let desired = wanted(&wish.0, &wish.1);
            gateway.run(&desired, Some(fuel));
            gateway.assert_untouched(&theirs, "after a crash");
            settle(&gateway, &desired, &theirs);
            theirs = strangers(&gateway, &intruders.0, &intruders.1, &theirs);
        }
        gateway.detach(None).applied();
        let left = gateway.observed();
        prop_assert_eq!((left.sas, left.policies), (theirs.sas, theirs.policies));
    }
}
