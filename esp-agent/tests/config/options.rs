//! The options of `[[sa]]` and `[[policy]]`: what they become, and what is said of wrong ones.

use crate::parse;
use esp_agent::xfrm::model::*;

const SA: &str = r#"[[sa]]
src = "10.55.55.1"
dst = "10.66.66.1"
spi = 0x1001
mode = "tunnel"
encryption = "cbc(aes)"
encryption_key = "1f9be207c45a6683d12e70bb1894f53c"
integrity = "hmac(sha256)"
integrity_key = "a9d0431c58e7b2660f84c13d92fe075b6a1e38cdf749b0250e86d75aa31c9b42"
"#;
const POLICY: &str = "[[policy]]\ndir = \"out\"\nsrc = \"10.1.0.0/16\"\ndst = \"10.2.0.0/16\"\n";

fn sa(more: &str) -> Sa {
    let config = parse(&format!("{SA}{more}")).unwrap_or_else(|errors| panic!("{more}\n{errors}"));
    config.desired().sas.remove(0).sa
}

fn policy(more: &str) -> Policy {
    let config = parse(&format!("{POLICY}{more}")).unwrap_or_else(|errors| panic!("{more}\n{errors}"));
    config.desired().policies.remove(0).policy
}

fn net(addr: [u8; 4], len: u8) -> Net {
    Net { addr: addr.into(), len }
}

#[test]
fn an_sa_gets_what_it_names_and_nothing_else() {
    let plain = sa("");
    let with = |change: fn(&mut Sa)| {
        let mut sa = plain.clone();
        change(&mut sa);
        sa
    };
    let cases: [(&str, Sa); 12] = [
        ("direction = \"in\"", with(|sa| sa.dir = Some(SaDir::In))),
        // What is sent has no window.
        ("direction = \"out\"", with(|sa| (sa.dir, sa.replay_window) = (Some(SaDir::Out), 0))),
        ("esn = true\nreplay_window = 4096", with(|sa| (sa.esn, sa.replay_window) = (true, 4096))),
        (
            "flags = [\"noecn\", \"align4\", \"dont-encap-dscp\"]",
            with(|sa| (sa.flags, sa.extra_flags) = (32 | 1 | 64, 1)),
        ),
        (
            "output_mark = { value = 0x11, mask = 0xff }",
            with(|sa| sa.output_mark = Mark { value: 0x11, mask: 0xff }),
        ),
        ("tfc_pad = 600", with(|sa| sa.tfc_pad = 600)),
        ("cpu = 2\ndirection = \"in\"", with(|sa| (sa.pcpu, sa.dir) = (Some(2), Some(SaDir::In)))),
        (
            "sequence = { sent = 7, received = 0xffff_ffff }",
            with(|sa| sa.start = SaStart { oseq: 7, seq: 0xffff_ffff }),
        ),
        (
            "nat_keepalive = \"20s\"\ndirection = \"out\"\nencap = { sport = 4500, dport = 1024 }",
            with(|sa| {
                (sa.nat_keepalive_s, sa.dir, sa.replay_window) = (20, Some(SaDir::Out), 0);
                sa.encap = Some(Encap { kind: 2, sport: 4500, dport: 1024, original: None });
            }),
        ),
        (
            "offload = { interface = \"eth5\", mode = \"packet\" }\ndirection = \"in\"",
            with(|sa| {
                (sa.dir, sa.offload) =
                    (Some(SaDir::In), Some(Offload { ifindex: 0, packet: true, inbound: true }));
            }),
        ),
        (
            "lifetime = { soft_time = \"50m\", hard_time = \"1h\", hard_use_time = \"90s\", soft_bytes = \"1GiB\", hard_bytes = 2000000000, hard_packets = 9 }",
            with(|sa| {
                sa.limits = Limits {
                    soft_add_s: Some(3000),
                    hard_add_s: Some(3600),
                    hard_use_s: Some(90),
                    soft_bytes: Some(1 << 30),
                    hard_bytes: Some(2_000_000_000),
                    hard_packets: Some(9),
                    ..Limits::NONE
                };
            }),
        ),
        (
            "selector = { src = \"10.1.0.0/16\", dst = \"10.2.0.0/16\", protocol = \"gre\", gre_key = 0x0001_0002 }",
            with(|sa| {
                let half = |port| Port { port, mask: u16::MAX };
                let all = Selector::between(net([10, 1, 0, 0], 16), net([10, 2, 0, 0], 16));
                sa.selector = Some(Selector { proto: 47, sport: half(1), dport: half(2), ..all });
            }),
        ),
    ];
    for (more, wanted) in cases {
        assert_eq!(sa(more), wanted, "{more}");
    }
}

#[test]
fn the_other_protocols_take_their_own_algorithms() {
    let (head, tail) = SA.split_once("encryption =").unwrap();
    let integrity = tail.split_once("integrity =").unwrap().1;
    let read = |text: String| parse(&text).map(|config| config.desired().sas.remove(0).sa);
    let ah = read(format!("{head}protocol = \"ah\"\nintegrity ={integrity}")).unwrap();
    assert_eq!((ah.id.proto, ah.suite.enc, ah.suite.auth.map(|auth| auth.icv_bits)), (AH, None, Some(128)));
    let comp = read(format!("{head}protocol = \"comp\"\ncompression = \"deflate\"\n")).unwrap();
    let names = (comp.suite.comp.map(|comp| comp.name), comp.suite.auth);
    assert_eq!((comp.id.proto, comp.replay_window, names), (COMP, 0, (Some("deflate".into()), None)));
    for (text, wanted) in [
        (format!("{SA}protocol = \"ah\"\n"), "sa[0].encryption: unknown key"),
        (format!("{SA}protocol = \"gre\"\n"), "sa[0].protocol: must be one of \"esp\", \"ah\", \"comp\""),
        (format!("{head}protocol = \"comp\"\n"), "sa[0].compression: missing"),
        (
            format!("{}protocol = \"comp\"\ncompression = \"deflate\"\n", head.replace("0x1001", "0x10000")),
            "site.toml:4: sa[0].spi: IPComp has 16 bits",
        ),
    ] {
        let errors = read(text).unwrap_err().to_string();
        assert!(errors.contains(wanted), "{wanted}: {errors}");
    }
}

#[test]
fn a_policy_gets_what_it_names_and_nothing_else() {
    let plain = policy("");
    let selected = |change: fn(&mut Selector)| {
        let mut policy = plain.clone();
        change(&mut policy.id.selector);
        Policy { priority: 0, ..policy }
    };
    let full = |port| Port { port, mask: u16::MAX };
    assert_eq!(policy("flags = [\"localok\", \"icmp\"]").flags, 3);
    assert_eq!(policy("lifetime = { hard_time = \"1d\" }").limits.hard_add_s, Some(86_400));
    let tcp = selected(|selector| (selector.proto, selector.dport) = (6, Port { port: 443, mask: u16::MAX }));
    assert_eq!(policy("priority = 0\nprotocol = \"tcp\"\ndport = 443"), tcp);
    let icmp = policy("protocol = \"icmp\"\nicmp_type = 8\nicmp_code = 0").id.selector;
    assert_eq!((icmp.proto, icmp.sport, icmp.dport), (1, full(8), full(0)));
    let both = "[[policy.template]]\nprotocol = \"comp\"\nmode = \"transport\"\nlevel = \"use\"\n\
                [[policy.template]]\nprotocol = \"ah\"\nmode = \"transport\"\n";
    let protocols: Vec<(u8, bool)> =
        policy(both).templates.iter().map(|template| (template.proto, template.optional)).collect();
    assert_eq!(protocols, [(COMP, true), (AH, false)]);
}

#[test]
fn interfaces_are_found_by_name_or_named_as_missing() {
    let text = format!(
        "{SA}offload = {{ interface = \"eth5\" }}\ndirection = \"out\"\n{POLICY}interface = \"eth6\"\n"
    );
    let mut config = parse(&text).unwrap_or_else(|errors| panic!("{errors}"));
    let missing = config.find_devices(|name| (name == "eth5").then_some(5)).unwrap_err();
    assert_eq!((missing.user.as_str(), missing.device.as_str()), ("policy policy-1", "eth6"));
    config.find_devices(|name| name.strip_prefix("eth")?.parse().ok()).unwrap();
    let desired = config.desired();
    assert_eq!(desired.sas[0].sa.offload, Some(Offload { ifindex: 5, packet: false, inbound: false }));
    assert_eq!(desired.policies[0].policy.id.selector.ifindex, 6);
}

#[test]
fn a_wrong_option_is_named_with_its_place() {
    for (more, wanted) in [
        ("direction = \"fwd\"", "10: sa[0].direction: must be one of"),
        ("flags = [\"noecn\", \"esn\"]", "10: sa[0].flags[1]: must be one of noecn"),
        ("lifetime = { hard_time = \"1.5s\" }", "10: sa[0].lifetime.hard_time: must be a"),
        (
            "lifetime = { hard_bytes = \"10 apples\" }",
            "10: sa[0].lifetime.hard_bytes: must be a number of bytes",
        ),
        (
            "lifetime = { soft_packets = 9, hard_packets = 9 }",
            "10: sa[0].lifetime.soft_packets: is not below",
        ),
        ("nat_keepalive = \"20s\"", "10: sa[0].nat_keepalive: needs `encap`"),
        ("cpu = 1", "10: sa[0].cpu: needs a `direction`"),
        ("offload = { mode = \"crypto\" }", "10: sa[0].offload.interface: missing"),
        ("output_mark = { value = 0x100, mask = 0xff }", "10: sa[0].output_mark: has bits outside"),
        ("tfc_pad = 65536", "10: sa[0].tfc_pad: must be a whole number from 0 to 65535"),
        ("sequence = { sent = 0x1_0000_0000 }", "10: sa[0].sequence: is beyond 32 bits"),
        ("replay_window = 4097", "10: sa[0].replay_window: must be a whole number from 0 to 4096"),
        (
            "selector = { src = \"10.1.0.0/16\", dst = \"fd00::/8\" }",
            "10: sa[0].selector.dst: is of another family",
        ),
        (
            "selector = { src = \"10.1.0.0/16\", dst = \"10.2.0.0/16\", gre_key = 1 }",
            "gre_key: needs `protocol` gre",
        ),
        (
            "selector = { src = \"10.1.0.0/16\", dst = \"10.2.0.0/16\", icmp_type = 1 }",
            "icmp_type: needs `protocol` icmp",
        ),
    ] {
        let errors = parse(&format!("{SA}{more}\n")).err().unwrap_or_else(|| panic!("accepted: {more}"));
        assert!(errors.to_string().contains(wanted), "{wanted}: {errors}");
    }
}

#[test]
fn a_tunnel_in_udp_sends_keepalives_unless_it_says_no() {
    let every = |encap: &str| {
        let text = crate::changed("[tunnel.in]", &format!("encap = {{ {encap} }}\n[tunnel.in]"));
        parse(&text).map(|config| config.tunnels[0].keepalive.map(|every| every.as_secs()))
    };
    assert_eq!(every("").unwrap(), Some(20));
    assert_eq!(every("keepalive = \"5s\"").unwrap(), Some(5));
    assert_eq!(every("keepalive = \"off\"").unwrap(), None);
    for wrong in ["0s", "2h", "500ms", "yes"] {
        let errors = every(&format!("keepalive = \"{wrong}\"")).unwrap_err();
        assert!(errors.to_string().contains("from 1s to 1h such as 20s, or \"off\""), "{errors}");
    }
}
