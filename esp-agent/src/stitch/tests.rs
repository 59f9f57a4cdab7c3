//! An SA of others gets the name of the first rule that it meets in full.

use super::*;
use crate::xfrm::model::{Limits, Mark, Mode, Policy, PolicyAction, Port};
use esp_common::Spi;

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> Net {
    let (addr, len) = text.split_once('/').unwrap();
    Net { addr: addr.parse().unwrap(), len: len.parse().unwrap() }
}

fn sa(src: &str, dst: &str, reqid: u32, if_id: u32) -> Sa {
    let id = SaId { dst: addr(dst), spi: Spi::new(0x1000), proto: ESP, mark: Mark::default() };
    Sa { reqid, if_id, ..Sa::bare(id, addr(src), Mode::Tunnel) }
}

fn policy(dir: PolicyDir, src: &str, dst: &str, ends: (&str, &str)) -> ObservedPolicy {
    let any = Port::default();
    let selector = Selector { src: net(src), dst: net(dst), proto: 0, sport: any, dport: any, ifindex: 0 };
    let template = Template {
        src: addr(ends.0),
        dst: addr(ends.1),
        spi: Spi::new(0),
        proto: ESP,
        mode: Mode::Tunnel,
        reqid: 9,
        optional: false,
    };
    let policy = Policy {
        id: PolicyId { selector, dir, mark: Mark::default(), if_id: 0 },
        priority: 1,
        action: PolicyAction::Allow,
        flags: 0,
        templates: vec![template],
        limits: Limits::default(),
        offload: None,
    };
    ObservedPolicy { policy, index: 8, added_s: 0, used_s: 0 }
}

fn name(rules: &[Rule], sa: &Sa, policies: &[ObservedPolicy]) -> Option<String> {
    let stitch = Stitch::new(HashMap::new(), rules.to_vec());
    stitch.tunnel(sa, &Served::of(policies.iter())).map(str::to_owned)
}

fn rule(tunnel: &str) -> Rule {
    Rule { tunnel: tunnel.into(), ..Rule::default() }
}

#[test]
fn every_part_of_a_rule_must_fit_in_either_direction() {
    let (out, inbound) = (sa("10.0.0.1", "10.0.0.2", 5, 7), sa("10.0.0.2", "10.0.0.1", 5, 7));
    let ends = Rule { local: Some(addr("10.0.0.1")), remote: Some(addr("10.0.0.2")), ..rule("t") };
    let cases = [
        ("reqid", Rule { reqid: Some(5), ..rule("t") }, true),
        ("another reqid", Rule { reqid: Some(6), ..rule("t") }, false),
        ("if_id", Rule { if_id: Some(7), ..rule("t") }, true),
        ("another if_id", Rule { reqid: Some(5), if_id: Some(8), ..rule("t") }, false),
        ("both ends", ends.clone(), true),
        ("the peer alone", Rule { local: None, ..ends.clone() }, true),
        ("a stranger", Rule { remote: Some(addr("10.0.0.3")), ..ends.clone() }, false),
        ("reqid of another peer", Rule { reqid: Some(5), remote: Some(addr("10.0.0.3")), ..ends }, false),
    ];
    for (what, rule, fits) in cases {
        for sa in [&out, &inbound] {
            assert_eq!(name(std::slice::from_ref(&rule), sa, &[]).is_some(), fits, "{what}");
        }
    }
}

#[test]
fn the_first_rule_wins_whatever_it_is_found_by() {
    let rules = [
        Rule { if_id: Some(7), ..rule("by if_id") },
        Rule { reqid: Some(5), ..rule("by reqid") },
        Rule { remote: Some(addr("10.0.0.2")), ..rule("by peer") },
    ];
    assert_eq!(name(&rules, &sa("10.0.0.1", "10.0.0.2", 5, 7), &[]).as_deref(), Some("by if_id"));
    assert_eq!(name(&rules, &sa("10.0.0.1", "10.0.0.2", 5, 0), &[]).as_deref(), Some("by reqid"));
    assert_eq!(name(&rules, &sa("10.0.0.1", "10.0.0.2", 0, 0), &[]).as_deref(), Some("by peer"));
    assert_eq!(name(&rules, &sa("10.0.0.1", "10.0.0.9", 0, 0), &[]), None);
}

#[test]
fn networks_are_those_of_the_policies_that_the_sa_serves() {
    let b = Rule {
        remote: Some(addr("10.0.0.2")),
        local_nets: vec![(addr("192.168.1.0"), 24)],
        remote_nets: vec![(addr("192.168.2.0"), 24), (addr("192.168.3.0"), 24)],
        ..rule("b")
    };
    let ends = ("10.0.0.1", "10.0.0.2");
    let back = ("10.0.0.2", "10.0.0.1");
    let out = policy(PolicyDir::Out, "192.168.1.0/24", "192.168.3.128/25", ends);
    let fwd = policy(PolicyDir::Fwd, "192.168.2.0/24", "192.168.1.0/24", back);
    let wide = policy(PolicyDir::Out, "192.168.0.0/16", "192.168.2.0/24", ends);
    let (ours, theirs) = (sa(ends.0, ends.1, 9, 0), sa(back.0, back.1, 9, 0));
    let rules = [b];
    assert!(name(&rules, &ours, std::slice::from_ref(&out)).is_some());
    assert!(name(&rules, &theirs, std::slice::from_ref(&fwd)).is_some());
    assert!(name(&rules, &ours, &[fwd]).is_none(), "the policy of the other direction");
    assert!(name(&rules, &ours, &[wide]).is_none(), "a policy that is wider than the tunnel");
    assert!(name(&rules, &sa(ends.0, ends.1, 10, 0), &[out]).is_none(), "another reqid");
    assert!(name(&rules, &ours, &[]).is_none());
}

#[test]
fn an_sa_of_the_configuration_keeps_its_own_name() {
    let sa = sa("10.0.0.1", "10.0.0.2", 5, 0);
    let own = HashMap::from([(sa.id, "mine".to_owned())]);
    let stitch = Stitch::new(own, vec![Rule { reqid: Some(5), ..rule("other") }]);
    assert_eq!(stitch.tunnel(&sa, &Served::default()), Some("mine"));
}

#[test]
fn a_prefix_contains_what_lies_inside_it() {
    let cases = [
        (("0.0.0.0", 0), "10.0.0.0/8", true),
        (("10.0.0.0", 8), "10.255.0.0/16", true),
        (("10.0.0.0", 8), "0.0.0.0/0", false),
        (("10.0.0.0", 8), "11.0.0.0/8", false),
        (("::", 0), "10.0.0.0/8", false),
        (("fd00::", 8), "fd12::/64", true),
        (("fd00::1", 128), "fd00::1/128", true),
        (("10.0.0.1", 32), "10.0.0.2/32", false),
    ];
    for ((of, len), inner, inside) in cases {
        assert_eq!(contains((addr(of), len), net(inner)), inside, "{inner} in {of}/{len}");
    }
}
