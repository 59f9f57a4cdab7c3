//! `interface` of a tunnel: what is made of it, and what is said of wrong ones.

use crate::{changed, parse};
use esp_agent::config::{Config, LintCode};
use esp_agent::xfrm::interface::Part;

fn with(more: &str) -> String {
    changed("mode = \"tunnel\"\n", &format!("mode = \"tunnel\"\n{more}\n"))
}

fn config(more: &str) -> Config {
    parse(&with(more)).unwrap_or_else(|errors| panic!("{more}\n{errors}"))
}

/// Each part in the words of a plan.
fn parts(config: &Config) -> Vec<String> {
    let text = |part: &Part| match part {
        Part::Link(link) => format!("{} if_id {:#x} mtu {}", link.name, link.if_id, link.mtu),
        part @ (Part::Address { .. } | Part::Route { .. }) => part.id().to_string(),
    };
    config.desired().parts.iter().map(|named| text(&named.part)).collect()
}

#[test]
fn an_interface_gets_its_mtu_and_the_routes_of_the_other_side() {
    let plain = config("interface = \"ipsec0\"");
    let [tunnel] = plain.tunnels.as_slice() else { panic!("one tunnel") };
    let if_id = tunnel.if_id;
    // 1500 less headers, IV, padding and ICV of cbc(aes) with hmac(sha256)-128.
    let link = format!("ipsec0 if_id {if_id:#x} mtu 1438");
    assert_eq!(parts(&plain), [link.as_str(), "192.168.2.0/24 over ipsec0 metric 0"]);
    assert_ne!(if_id, 0);
    let desired = plain.desired();
    assert!(desired.sas.iter().all(|keyed| keyed.sa.if_id == if_id));
    assert!(desired.policies.iter().all(|named| named.policy.id.if_id == if_id));
}

#[test]
fn what_is_named_counts() {
    let full = config(
        "interface = \"ipsec0\"\nif_id = 7\nmtu = 1300\naddress = [\"10.255.0.1/30\", \"fd00:255::1/64\"]\n\
         route = [\"172.16.0.0/12\", \"2001:db8::/32\"]\nroute_metric = 0",
    );
    let wanted = [
        "ipsec0 if_id 0x7 mtu 1300",
        "10.255.0.1/30 on ipsec0",
        "fd00:255::1/64 on ipsec0",
        "172.16.0.0/12 over ipsec0 metric 0",
        // What the kernel makes of no metric.
        "2001:db8::/32 over ipsec0 metric 1024",
    ];
    assert_eq!(parts(&full), wanted);
}

#[test]
fn without_networks_all_is_protected_and_the_routes_choose() {
    let text = with("interface = \"ipsec0\"\nroute = \"10.2.0.0/16\"");
    let text = text.replace("local_net = \"192.168.1.0/24\"\nremote_net = \"192.168.2.0/24\"\n", "");
    let config = parse(&text).unwrap();
    assert_eq!(parts(&config)[1..], ["10.2.0.0/16 over ipsec0 metric 0"]);
    assert_eq!(config.tunnels[0].networks.len(), 2);
}

#[test]
fn what_cannot_be_is_refused_with_the_key() {
    let cases = [
        ("address = \"10.255.0.1/30\"", "tunnel[0].address", "needs `interface`"),
        ("route_metric = 5", "tunnel[0].route_metric", "needs `interface`"),
        ("interface = \"a/b\"", "tunnel[0].interface", "name of a network interface"),
        ("interface = \"ipsec0\"\naddress = \"10.255.0.1/33\"", "tunnel[0].address", "10.255.0.1/30"),
        (
            "interface = \"ipsec0\"\naddress = [\"10.0.0.1/8\", \"10.0.0.1/8\"]",
            "tunnel[0].address[1]",
            "twice",
        ),
        ("interface = \"ipsec0\"\nroute = [\"10.0.0.0/8\", \"10.0.0.0/8\"]", "tunnel[0].route[1]", "twice"),
        ("interface = \"ipsec0\"\nmtu = 1000\naddress = \"fd00::1/64\"", "tunnel[0].mtu", "needs 1280"),
        ("interface = \"ipsec0\"\nmtu = 60", "tunnel[0].mtu", "from 68 to 65535"),
    ];
    for (more, path, text) in cases {
        let errors = parse(&with(more)).expect_err(more);
        let found = errors.0.iter().find(|error| error.path == path);
        assert!(found.is_some_and(|error| error.text.contains(text)), "{more}\n{errors}");
    }
    let transport = with("interface = \"ipsec0\"")
        .replace("mode = \"tunnel\"", "mode = \"transport\"")
        .replace("local_net = \"192.168.1.0/24\"\nremote_net = \"192.168.2.0/24\"\n", "");
    let errors = parse(&transport).unwrap_err();
    assert!(errors.to_string().contains("nothing is routed"), "{errors}");
}

#[test]
fn two_tunnels_share_neither_interface_nor_route() {
    let one = with("interface = \"ipsec0\"");
    let at = one.find("[[tunnel]]").unwrap();
    let second =
        one[at..].replace("site-b", "site-c").replace("0x100", "0x200").replace("10.66.66.1", "10.77.77.1");
    let errors = parse(&format!("{one}{second}")).unwrap_err().to_string();
    assert!(errors.contains("interface ipsec0 is that of tunnel `site-b` too"), "{errors}");
    assert!(errors.contains("its route to 192.168.2.0/24 is that of tunnel `site-b` too"), "{errors}");
}

#[test]
fn a_route_to_the_peer_itself_is_told() {
    let codes = |more: &str| config(more).lints.iter().map(|lint| lint.code).collect::<Vec<_>>();
    assert!(codes("interface = \"ipsec0\"\nroute = \"10.66.0.0/16\"").contains(&LintCode::RouteLoop));
    assert!(!codes("interface = \"ipsec0\"\nroute = \"10.67.0.0/16\"").contains(&LintCode::RouteLoop));
}
