//! `[[bypass]]` and `[[discard]]`: the policies that they become, and what is said of wrong ones.

use crate::{GOOD, good, parse};
use esp_agent::config::NamedPolicy;
use esp_agent::plan::{Observed, plan};
use esp_agent::record::Owned;
use esp_agent::xfrm::model::{PolicyAction, PolicyDir};

fn beside(more: &str) -> Vec<NamedPolicy> {
    let config = parse(&format!("{GOOD}{more}")).unwrap_or_else(|errors| panic!("{more}\n{errors}"));
    let policies = config.desired().policies;
    policies.into_iter().filter(|named| named.tunnel.is_none()).collect()
}

/// Name, action and what the plan prints behind it.
fn lines(more: &str) -> Vec<String> {
    let desired =
        parse(&format!("{GOOD}{more}")).unwrap_or_else(|errors| panic!("{more}\n{errors}")).desired();
    let plan =
        plan(&desired, &Observed::default(), &Owned::default()).expect("an empty kernel has no conflicts");
    let tunnel = good().desired();
    let known = tunnel.sas.len() + tunnel.policies.len();
    plan.steps.iter().skip(known).map(ToString::to_string).collect()
}

#[test]
fn each_direction_gets_its_policy_without_a_template() {
    let dns = "[[bypass]]\nname = \"dns\"\nlocal_net = \"192.168.1.0/24\"\nremote_net = \"192.168.2.53/32\"\n\
               protocol = \"udp\"\nremote_port = 53\n";
    assert_eq!(
        lines(dns),
        [
            "+ policy out 192.168.1.0/24 -> 192.168.2.53/32 proto 17 dport 53 prio 1503  (dns/out)",
            "+ policy in 192.168.2.53/32 -> 192.168.1.0/24 proto 17 sport 53 prio 1502  (dns/in)",
            "+ policy fwd 192.168.2.53/32 -> 192.168.1.0/24 proto 17 sport 53 prio 1502  (dns/fwd)",
        ]
    );
    let smtp = "[[discard]]\nremote_net = [\"192.168.2.0/24\", \"fd02::/64\"]\nprotocol = \"tcp\"\n\
                remote_port = 25\ndirection = \"out\"\npriority = 7\n";
    assert_eq!(
        lines(smtp),
        [
            "+ policy out 0.0.0.0/0 -> 192.168.2.0/24 proto 6 dport 25 prio 7 block  (discard-1/out)",
            "+ policy out ::/0 -> fd02::/64 proto 6 dport 25 prio 7 block  (discard-1/out/2)",
        ]
    );
}

#[test]
fn one_that_names_an_interface_is_bound_to_it() {
    let backstop =
        "[[discard]]\nremote_net = \"192.168.2.0/24\"\ndirection = \"out\"\ninterface = \"eth5\"\n";
    let mut config = parse(&format!("{GOOD}{backstop}")).unwrap();
    config.find_devices(|name| (name == "eth5").then_some(5)).unwrap();
    let [named] = config.policies.as_slice() else { panic!("{:?}", config.policies) };
    assert_eq!((named.policy.id.selector.ifindex, named.device.as_deref()), (5, Some("eth5")));
}

#[test]
fn one_that_names_only_a_protocol_holds_for_both_families() {
    let policies = beside("[[discard]]\nprotocol = 17\ndirection = \"in\"\n");
    let dirs: Vec<_> = policies.iter().map(|named| named.policy.id.dir).collect();
    assert_eq!(dirs, [PolicyDir::In, PolicyDir::Fwd, PolicyDir::In, PolicyDir::Fwd]);
    assert!(policies.iter().all(|named| named.policy.action == PolicyAction::Block));
}

#[test]
fn the_type_of_an_icmp_message_has_no_side() {
    let ping = "[[bypass]]\nremote_net = \"192.168.2.0/24\"\nprotocol = \"icmp\"\nicmp_type = 8\n";
    for named in beside(ping) {
        let selector = named.policy.id.selector;
        assert_eq!((selector.sport.port, selector.dport.mask), (8, 0), "{}", named.name);
    }
}

#[test]
fn they_come_before_the_tunnels() {
    let tunnels = good().desired().policies;
    let first = tunnels.iter().map(|named| named.policy.priority).min().unwrap();
    for named in beside("[[bypass]]\nprotocol = \"tcp\"\n[[discard]]\nremote_net = \"192.168.2.9/32\"\n") {
        assert!(named.policy.priority < first, "{}", named.name);
    }
}

#[test]
fn a_wrong_one_is_named_with_its_place() {
    let cases = [
        ("[[bypass]]\n", "bypass[0]", "all traffic"),
        ("[[discard]]\nremote_net = []\n", "discard[0].remote_net", "is empty"),
        (
            "[[bypass]]\nlocal_net = \"192.168.1.0/24\"\nremote_net = \"fd02::/64\"\n",
            "bypass[0].local_net",
            "no network of its family",
        ),
        (
            "[[bypass]]\nremote_net = \"fd02::/64\"\nremote_port = 53\n",
            "bypass[0].remote_port",
            "needs a `protocol`",
        ),
        (
            "[[bypass]]\nprotocol = 6\ndirection = \"fwd\"\n",
            "bypass[0].direction",
            "\"both\", \"out\", \"in\"",
        ),
        ("[[bypass]]\nprotocol = 6\nsport = 1\n", "bypass[0].sport", "unknown key"),
        (
            "[[bypass]]\nprotocol = 6\n[[discard]]\nprotocol = 6\n",
            "discard[0]",
            "direction and selector is on line",
        ),
    ];
    for (text, path, piece) in cases {
        let errors = parse(&format!("{GOOD}{text}")).err().unwrap_or_else(|| panic!("{text}: accepted"));
        let first = errors.0.first().unwrap();
        assert_eq!(first.path, path, "{text}: {errors}");
        assert!(first.text.contains(piece), "{text}: {errors}");
    }
}
