//! Policies, as they are sent and as they come back.

use crate::world::{block_policy, fwd_policy, in_namespace, numbered, out_policy, template};
use esp_agent::xfrm::Xfrm as _;
use esp_agent::xfrm::model::{Policy, PolicyId};
use esp_agent::xfrm::netlink::Netlink;
use std::error::Error as _;

#[test]
#[ignore = "T3: root, namespaces"]
fn policies_come_back_as_they_were_sent() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        let sent = [out_policy(), fwd_policy(), block_policy()];
        for policy in &sent {
            xfrm.add_policy(policy).unwrap();
        }
        assert!(xfrm.add_policy(&sent[0]).unwrap_err().already_exists());
        for policy in &sent {
            let observed = xfrm.policies().unwrap();
            let found = observed.into_iter().find(|observed| observed.policy.id == policy.id).unwrap();
            assert_eq!(found.policy, *policy);
            assert!(found.policy.same_as(policy) && found.added_s > 0 && found.index != 0);
        }

        let changed =
            Policy { priority: 7, templates: vec![template("10.9.9.1", "10.9.9.2")], ..out_policy() };
        xfrm.update_policy(&changed).unwrap();
        let observed: Vec<Policy> = xfrm.policies().unwrap().into_iter().map(|found| found.policy).collect();
        assert!(observed.contains(&changed) && !observed.contains(&out_policy()), "{observed:#?}");
        assert_eq!(observed.len(), sent.len());

        for policy in &sent {
            xfrm.delete_policy(&policy.id).unwrap();
        }
        assert_eq!(xfrm.policies().unwrap(), []);
        assert!(xfrm.delete_policy(&sent[0].id).unwrap_err().not_found());
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_dump_of_many_policies_is_whole() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        let policies = (0..2000_u32).map(|number| Policy { id: numbered(number), ..out_policy() });
        for policy in policies.clone() {
            xfrm.add_policy(&policy).unwrap();
        }
        let mut seen: Vec<PolicyId> =
            xfrm.policies().unwrap().into_iter().map(|found| found.policy.id).collect();
        let mut expected: Vec<PolicyId> = policies.map(|policy| policy.id).collect();
        seen.sort();
        expected.sort();
        assert!(seen == expected, "{} of {} policies", seen.len(), expected.len());
    });
}

#[test]
#[ignore = "T3: root, namespaces"]
fn without_the_capability_it_is_not_permitted() {
    in_namespace(|| async {
        let mut xfrm = Netlink::open().unwrap();
        // The system call, as libc's function would change the threads of the other tests too.
        // SAFETY: setresuid takes three numbers; -1 leaves the real and the saved one alone.
        let changed = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) };
        assert_eq!(changed, 0);
        let error = xfrm.add_policy(&out_policy()).unwrap_err();
        assert!(error.not_permitted(), "{error:?}");
        assert!(error.source().unwrap().to_string().contains("CAP_NET_ADMIN"));
    });
}
