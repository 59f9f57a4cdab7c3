//! In which order the kernel tries policies, of which the first that matches decides.

use super::model::{Net, ObservedPolicy, PolicyDir, Selector};
use aya::util::KernelVersion;
use std::collections::HashSet;

/// Which of several policies of equal priority comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// The one that was added first: since Linux 6.12 each has a place in one row ("xfrm: policy: don't iterate inexact policies
    /// twice at insert time", net/xfrm/xfrm_policy.c).
    #[default]
    Oldest,
    /// Before, only those that select more than one address on a side had a place, each direction counted from 0; one between two
    /// single addresses stood in a hash table, at place 0 for good, and wins against all others but the first of them.
    HostsFirst,
}

impl Order {
    /// That of the running kernel; the newer one where it does not tell its version.
    #[must_use]
    pub fn of_this_kernel() -> Self {
        let old = KernelVersion::current().is_ok_and(|version| version < KernelVersion::new(6, 12, 0));
        if old { Self::HostsFirst } else { Self::Oldest }
    }

    /// Policies in this order, all directions together.
    #[must_use]
    pub fn sorted<'a>(self, policies: impl Iterator<Item = &'a ObservedPolicy>) -> Vec<&'a ObservedPolicy> {
        let mut sorted: Vec<_> = policies.collect();
        sorted.sort_by_key(|observed| (observed.policy.priority, observed.index));
        if self == Self::HostsFirst {
            let first: HashSet<u32> = DIRECTIONS.iter().filter_map(|dir| first(&sorted, *dir)).collect();
            sorted.sort_by_key(|observed| {
                let hosts = is_between_hosts(&observed.policy.id.selector);
                let place = if first.contains(&observed.index) { 0 } else { 2 - u8::from(hosts) };
                (observed.policy.priority, place, observed.index)
            });
        }
        sorted
    }
}

const DIRECTIONS: [PolicyDir; 3] = [PolicyDir::In, PolicyDir::Fwd, PolicyDir::Out];

/// The index of a direction's policy at place 0. One that was added after the one before it went may have another place: the kernel
/// shows none.
fn first(sorted: &[&ObservedPolicy], dir: PolicyDir) -> Option<u32> {
    let mut others = sorted
        .iter()
        .filter(|observed| observed.policy.id.dir == dir && !is_between_hosts(&observed.policy.id.selector));
    others.next().map(|observed| observed.index)
}

/// What the kernel has in its hash table, at the thresholds that it starts with (`ip xfrm policy set hthresh4 32 32`).
fn is_between_hosts(Selector { src, dst, .. }: &Selector) -> bool {
    let whole = |net: &Net| net.len >= if net.addr.is_ipv4() { 32 } else { 128 };
    whole(src) && whole(dst)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::samples, xfrm::model::Policy};

    fn policy(src: &str, index: u32, priority: u32) -> ObservedPolicy {
        let (addr, len) = src.split_once('/').unwrap();
        let src = (addr, len.parse().unwrap());
        let policy = samples::policy(PolicyDir::In, src, ("192.0.2.1", 32), ("192.0.2.2", "192.0.2.1"));
        samples::observed_policy(&Policy { priority, ..policy }, index, 1)
    }

    fn order(order: Order, policies: &[ObservedPolicy]) -> Vec<u32> {
        order.sorted(policies.iter()).into_iter().map(|observed| observed.index).collect()
    }

    #[test]
    fn priority_comes_before_age() {
        let policies = [policy("10.0.0.0/8", 8, 3), policy("10.0.0.1/32", 16, 2), policy("0.0.0.0/0", 24, 1)];
        for way in [Order::Oldest, Order::HostsFirst] {
            assert_eq!(order(way, &policies), [24, 16, 8], "{way:?}");
        }
    }

    #[test]
    fn of_equal_ones_the_oldest_wins_since_6_12_and_the_one_between_two_hosts_did_before() {
        let policies = [
            policy("0.0.0.0/0", 8, 0),
            policy("10.0.0.0/8", 16, 1),
            policy("10.0.0.1/32", 24, 1),
            policy("10.0.0.2/32", 32, 1),
        ];
        assert_eq!(order(Order::Oldest, &policies), [8, 16, 24, 32]);
        assert_eq!(order(Order::HostsFirst, &policies), [8, 24, 32, 16]);
        assert_eq!(order(Order::HostsFirst, &policies[1..]), [16, 24, 32], "at place 0 too");
    }
}
