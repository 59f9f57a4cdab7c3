//! Every rule, by a file that breaks it: key path, line and text of the error.

use crate::{GOOD, changed, good, parse};
use esp_agent::config::Steer;
use esp_common::Budgets;

/// Key path, line, piece of the text.
type Wanted<'a> = (&'a str, usize, &'a str);

/// From, to.
type Changes<'a> = &'a [(&'a str, &'a str)];

fn assert_errors(name: &str, text: &str, wanted: &[Wanted<'_>]) {
    let errors = parse(text).err().unwrap_or_else(|| panic!("{name}: accepted"));
    let found: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(errors.0.len(), wanted.len(), "{name}: {found:#?}");
    for ((path, line, piece), error) in wanted.iter().zip(&errors.0) {
        assert_eq!((error.path.as_str(), error.line), (*path, Some(*line)), "{name}: {found:#?}");
        assert!(error.text.contains(piece), "{name}: {piece:?} is not in {found:#?}");
    }
}

#[test]
fn one_changed_piece_gives_one_error_at_its_place() {
    let net = "local_net = \"192.168.1.0/24\"";
    let cases: &[(&str, &str, &str, Wanted<'_>)] = &[
        (
            "unknown key",
            "mode = \"tunnel\"",
            "modus = \"tunnel\"",
            ("tunnel[0].modus", 12, "unknown key; known here"),
        ),
        ("unknown table", "[mirror]", "[miror]", ("miror", 6, "unknown key")),
        ("unknown guard", "unknown_spi", "unknown_spis", ("guard.unknown_spis", 5, "unknown key")),
        (
            "guard mode",
            "\"enforce\"",
            "\"drop\"",
            ("guard.unknown_spi", 5, "\"off\", \"observe\", \"enforce\""),
        ),
        (
            "wrong type",
            "sas = 1024",
            "sas = \"1024\"",
            ("maps.sas", 9, "expected an integer, found a string"),
        ),
        ("map too small", "sas = 1024", "sas = 3", ("maps.sas", 9, "from 16 to 1048576")),
        ("fewer than needed", "sas = 1024", "sas = -1", ("maps.sas", 9, "whole number")),
        ("interval", "\"1s\"", "\"soon\"", ("mirror.interval", 7, "must be a time")),
        ("interval too short", "\"1s\"", "\"1ms\"", ("mirror.interval", 7, "from 100ms to 1h")),
        ("metrics", "127.0.0.1:9754", "localhost", ("metrics.listen", 3, "with a port")),
        (
            "interface",
            "[\"eth5\"]",
            "[\"eth5\", \"a/b\"]",
            ("interfaces[1]", 1, "name of a network interface"),
        ),
        ("interface twice", "[\"eth5\"]", "[\"eth5\", \"eth5\"]", ("interfaces[1]", 1, "twice")),
        ("empty name", "\"site-b\"", "\"\"", ("tunnel[0].name", 11, "1 to 63 bytes")),
        ("name missing", "name = \"site-b\"\n", "\n", ("tunnel[0].name", 10, "missing")),
        ("mode", "\"tunnel\"", "\"beet\"", ("tunnel[0].mode", 12, "\"tunnel\", \"transport\"")),
        ("address", "\"10.55.55.1\"", "\"10.55.55\"", ("tunnel[0].local", 13, "IPv4 or IPv6 address")),
        (
            "mapped address",
            "\"10.55.55.1\"",
            "\"::ffff:10.1.1.1\"",
            ("tunnel[0].local", 13, "write it as IPv4"),
        ),
        ("multicast", "\"10.66.66.1\"", "\"224.0.0.1\"", ("tunnel[0].remote", 14, "address of one host")),
        (
            "mixed ends",
            "\"10.66.66.1\"",
            "\"2001:db8::1\"",
            ("tunnel[0].remote", 14, "another family than 10.55.55.1"),
        ),
        ("one end", "\"10.66.66.1\"", "\"10.55.55.1\"", ("tunnel[0].remote", 14, "same address")),
        (
            "host bits",
            "192.168.1.0/24",
            "192.168.1.7/24",
            ("tunnel[0].local_net", 15, "write 192.168.1.0/24"),
        ),
        ("prefix", "192.168.1.0/24", "192.168.1.0/33", ("tunnel[0].local_net", 15, "must be a network")),
        ("no network", net, "", ("tunnel[0].local_net", 10, "needs the networks of both sides")),
        ("empty list", net, "local_net = []", ("tunnel[0].local_net", 15, "is empty")),
        (
            "network twice",
            net,
            "local_net = [\"10.0.0.0/8\", \"10.0.0.0/8\"]",
            ("tunnel[0].local_net[1]", 15, "twice"),
        ),
        (
            "lone family",
            net,
            "local_net = [\"10.0.0.0/8\", \"2001:db8::/32\"]",
            ("tunnel[0].local_net[1]", 15, "no network of its family"),
        ),
        ("encryption", "cbc(aes)", "des", ("tunnel[0].encryption", 17, "must be one of \"cbc(aes)\"")),
        ("no integrity", "integrity = \"hmac(sha256)\"", "", ("tunnel[0].integrity", 10, "missing")),
        ("icv", "[tunnel.in]", "icv = 64\n[tunnel.in]", ("tunnel[0].icv", 19, "128 or 96 bits")),
        ("SPI zero", "spi = 0x1001", "spi = 0", ("tunnel[0].in.spi", 20, "reserved")),
        ("SPI reserved", "spi = 0x1001", "spi = 255", ("tunnel[0].in.spi", 20, "reserved")),
        ("SPI too long", "spi = 0x1001", "spi = 0x100000000", ("tunnel[0].in.spi", 20, "32-bit")),
        ("SPI as text", "\"0x1002\"", "\"0xzz\"", ("tunnel[0].out.spi", 24, "32-bit")),
        ("SPI negative", "spi = 0x1001", "spi = -7", ("tunnel[0].in.spi", 20, "32-bit")),
        ("SPI missing", "spi = 0x1001\n", "\n", ("tunnel[0].in.spi", 19, "missing")),
        (
            "key length",
            "1f9be207c45a6683d12e70bb1894f53c",
            "1f9be207c45a6683d12e70bb1894f5",
            ("tunnel[0].in.encryption_key", 21, "has 15 bytes, the algorithm takes 16 or 24 or 32"),
        ),
        ("odd key", "\"1f9be2", "\"1f9be", ("tunnel[0].in.encryption_key", 21, "odd number of hex digits")),
        ("key not hex", "\"1f9be2", "\"xf9be2", ("tunnel[0].in.encryption_key", 21, "hex digits only")),
        (
            "key file missing",
            "encryption_key = \"1f9be207c45a6683d12e70bb1894f53c\"",
            "encryption_key_file = \"none.key\"",
            ("tunnel[0].in.encryption_key_file", 21, "failed to open /nonexistent/none.key: no such file"),
        ),
        (
            "foreign key",
            "[tunnel.out]",
            "key = \"0102\"\n[tunnel.out]",
            ("tunnel[0].in.key", 23, "take no such key"),
        ),
        (
            "window",
            "[tunnel.in]",
            "replay_window = 4097\n[tunnel.in]",
            ("tunnel[0].replay_window", 19, "0 to 4096"),
        ),
        (
            "ESN without a window",
            "[tunnel.in]",
            "replay_window = 0\nesn = true\n[tunnel.in]",
            ("tunnel[0].replay_window", 19, "must not be 0"),
        ),
        ("reqid zero", "[tunnel.in]", "reqid = 0\n[tunnel.in]", ("tunnel[0].reqid", 19, "from 1 to")),
        (
            "port",
            "[tunnel.in]",
            "encap = { local_port = 0 }\n[tunnel.in]",
            ("tunnel[0].encap.local_port", 19, "1 to 65535"),
        ),
        (
            "protocol",
            "[tunnel.in]",
            "protocol = \"ipv5\"\n[tunnel.in]",
            ("tunnel[0].protocol", 19, "or one of any, icmp"),
        ),
        ("a single [tunnel]", "[[tunnel]]", "[tunnel]", ("tunnel", 10, "write [[tunnel]]")),
    ];
    for (name, from, to, wanted) in cases {
        assert_errors(name, &changed(from, to), &[*wanted]);
    }
}

#[test]
fn transport_mode_has_no_networks() {
    let text = changed("mode = \"tunnel\"", "mode = \"transport\"");
    assert_errors(
        "nets",
        &text,
        &[
            ("tunnel[0].local_net", 15, "no meaning in transport mode"),
            ("tunnel[0].remote_net", 16, "no meaning"),
        ],
    );
}

#[test]
fn a_key_comes_from_one_place() {
    let text = changed("[tunnel.out]", "encryption_key_file = \"b\"\n[tunnel.out]");
    assert_errors(
        "two places",
        &text,
        &[
            ("tunnel[0].in.encryption_key", 21, "is given twice"),
            ("tunnel[0].in.encryption_key_file", 23, "no such file"),
        ],
    );
}

#[test]
fn an_aead_stands_alone() {
    let text = changed("encryption = ", "aead = \"rfc4106(gcm(aes))\"\nencryption = ");
    assert_errors("mixed", &text, &[("tunnel[0].aead", 17, "stands alone")]);
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_their_lines() {
    let text = GOOD
        .replacen("\"enforce\"", "\"drop\"", 1)
        .replacen("spi = 0x1001", "spi = 7", 1)
        .replacen("192.168.2.0/24", "192.168.2.9/24", 1)
        .replacen("\"1s\"", "\"0s\"", 1)
        .replacen("\"0x1002\"", "\"0x1002\"\nspy = 1", 1);
    let wanted = [
        ("guard.unknown_spi", 5, "must be one of"),
        ("mirror.interval", 7, "100ms"),
        ("tunnel[0].remote_net", 16, "write 192.168.2.0/24"),
        ("tunnel[0].in.spi", 20, "reserved"),
        ("tunnel[0].out.spy", 25, "unknown key"),
    ];
    assert_errors("five", &text, &wanted);
    let shown = parse(&text).expect_err("five errors").to_string();
    let first = shown.lines().next().expect("a line");
    assert_eq!(first, "site.toml:5: guard.unknown_spi: must be one of \"off\", \"observe\", \"enforce\"");
}

#[test]
fn syntax_errors_have_a_place_and_no_source_line() {
    let text = changed("\"1f9be207c45a6683d12e70bb1894f53c\"", "\"1f9be207c45a6683d12e70bb1894f53c");
    let errors = parse(&text).expect_err("an open string");
    let first = errors.0.first().expect("an error");
    assert_eq!((first.line, first.path.as_str()), (Some(21), ""));
    assert!(first.text.starts_with("syntax error in column "), "{errors}");
    assert!(!errors.to_string().contains("1f9be207"), "{errors}");
}

/// A second tunnel beside that of [`GOOD`], with `changes` made to it.
fn with_second(changes: Changes<'_>) -> String {
    let start = GOOD.find("[[tunnel]]").expect("the tunnel");
    let mut second = GOOD.get(start..).expect("the tunnel").to_owned();
    let apart = [
        ("site-b", "site-c"),
        ("10.66.66.1", "10.77.77.1"),
        ("192.168.2.0/24", "192.168.3.0/24"),
        ("0x1001", "0x2001"),
        ("0x1002", "0x2002"),
    ];
    for (from, to) in apart.iter().chain(changes) {
        assert!(second.contains(from), "nothing to change: {from}");
        second = second.replacen(from, to, 1);
    }
    format!("{GOOD}{second}")
}

#[test]
fn tunnels_must_not_overlap() {
    assert!(parse(&with_second(&[])).is_ok(), "two tunnels apart");
    let cases: &[(&str, Changes<'_>, &[Wanted<'_>])] = &[
        (
            "same name",
            &[("site-c", "site-b")],
            &[("tunnel[1].name", 28, "tunnel name `site-b` is on line 11 already")],
        ),
        (
            "same SPI to us",
            &[("0x2001", "0x1001")],
            &[("tunnel[1].in.spi", 37, "SPI 0x00001001 to 10.55.55.1 is on line 20")],
        ),
        (
            "same SPI to the peer",
            &[("10.77.77.1", "10.66.66.1"), ("0x2002", "0x1002")],
            &[("tunnel[1].out.spi", 41, "SPI 0x00001002 to 10.66.66.1 is on line 24")],
        ),
        (
            "same networks",
            &[("192.168.3.0/24", "192.168.2.0/24")],
            &[(
                "tunnel[1].remote_net",
                33,
                "192.168.1.0/24 to 192.168.2.0/24 overlaps tunnel `site-b` (line 10)",
            )],
        ),
        (
            "a larger network",
            &[("192.168.3.0/24", "192.168.0.0/16")],
            &[("tunnel[1].remote_net", 33, "give both tunnels a `priority`")],
        ),
    ];
    for (name, changes, wanted) in cases {
        assert_errors(name, &with_second(changes), wanted);
    }
}

#[test]
fn the_map_must_hold_the_sas_of_the_file() {
    let sa = |number: usize| {
        let (head, tail) = RAW.split_once("0x3001").expect("an SPI");
        format!("{head}{}{}", 0x3001 + number, tail.split("[[policy]]").next().expect("the SA"))
    };
    let text = format!("[maps]\nsas = 16\n{}", (0..17).map(sa).collect::<String>());
    assert_errors("17 SAs", &text, &[("maps.sas", 2, "16 entries are too few for the 17 SAs")]);
}

#[test]
fn a_priority_in_both_tunnels_allows_nested_networks() {
    let first = changed("[tunnel.in]", "priority = 10\n[tunnel.in]");
    let text =
        with_second(&[("192.168.3.0/24", "192.168.0.0/16"), ("[tunnel.in]", "priority = 20\n[tunnel.in]")]);
    let second = text.get(GOOD.len()..).expect("the second tunnel");
    assert!(parse(&format!("{first}{second}")).is_ok());
}

#[test]
fn two_names_with_one_reqid_are_both_named() {
    let explicit = good().tunnels.first().expect("a tunnel").reqid;
    let text = with_second(&[("[tunnel.in]", &format!("reqid = {explicit}\n[tunnel.in]"))]);
    assert_errors(
        "reqid",
        &text,
        &[("tunnel[1].reqid", 36, "tunnels `site-b` (line 10) and `site-c` both have reqid")],
    );
}

const RAW: &str = r#"[[sa]]
src = "10.0.0.1"
dst = "10.0.0.2"
spi = 0x3001
mode = "tunnel"
reqid = 5
aead = "rfc4106(gcm(aes))"
key = "1f9be207c45a6683d12e70bb1894f53c00112233"
mark = { value = 1, mask = 0xff }
[[policy]]
name = "web"
dir = "out"
src = "192.168.1.0/24"
dst = "192.168.2.0/24"
protocol = "tcp"
dport = 443
[[policy.template]]
src = "10.0.0.1"
dst = "10.0.0.2"
mode = "tunnel"
reqid = 5
"#;

#[test]
fn raw_objects_have_rules_too() {
    assert!(parse(RAW).is_ok(), "{:?}", parse(RAW).err());
    let sa = RAW.split("[[policy]]").next().expect("the SA");
    let policy = RAW.get(sa.len()..).expect("the policy");
    let cases: &[(&str, String, &[Wanted<'_>])] = &[
        ("SA twice", format!("{RAW}{sa}"), &[("sa[1].spi", 25, "SPI 0x00003001 to 10.0.0.2 is on line 4")]),
        (
            "policy twice",
            format!("{RAW}{policy}"),
            &[
                ("policy[1].name", 23, "direction and selector is on line 11"),
                ("policy[1].name", 23, "policy name `web`"),
            ],
        ),
        ("mark", RAW.replace("value = 1,", "value = 256,"), &[("sa[0].mark", 9, "outside its mask")]),
        ("SA family", RAW.replacen("\"10.0.0.2\"", "\"::2\"", 1), &[("sa[0].dst", 3, "another family")]),
        ("SA mode", RAW.replacen("mode = \"tunnel\"", "", 1), &[("sa[0].mode", 1, "missing")]),
        ("dir", RAW.replace("\"out\"", "\"up\""), &[("policy[0].dir", 12, "\"in\", \"out\", \"fwd\"")]),
        ("ports", RAW.replace("\"tcp\"", "\"gre\""), &[("policy[0].dport", 16, "`protocol` with ports")]),
        ("policy family", RAW.replace("192.168.2.0/24", "::/0"), &[("policy[0].dst", 14, "another family")]),
        (
            "block",
            RAW.replace("protocol =", "action = \"block\"\nprotocol ="),
            &[("policy[0]", 10, "takes no template")],
        ),
        (
            "level",
            RAW.replace("dport = 443", "").replace("reqid = 5\n", "reqid = 5\nlevel = \"use\"\n"),
            &[("sa[0].level", 7, "unknown key"), ("policy[0].template[0]", 18, "cannot have `level")],
        ),
        (
            "template ends",
            RAW.replacen("src = \"10.0.0.1\"\ndst = \"10.0.0.2\"\nmode", "mode", 1),
            &[("policy[0].template[0]", 17, "needs `src` and `dst`")],
        ),
    ];
    for (name, text, wanted) in cases {
        assert_errors(name, text, wanted);
    }
}

#[test]
fn a_missing_file_is_one_error() {
    let errors =
        esp_agent::config::load(std::path::Path::new("/nonexistent/site.toml")).expect_err("no file");
    let shown = errors.to_string();
    assert!(shown.starts_with("/nonexistent/site.toml: failed to read it: "), "{shown}");
}

#[test]
fn ports_and_spis_of_the_wire_are_few_and_in_range() {
    let of = |lines: &str| format!("[wire]\n{lines}\n");
    for (lines, wanted) in [
        ("natt_ports = [1, 2, 3, 4, 5]", ("wire.natt_ports", 2, "names more than 4")),
        ("natt_ports = [4500, 0]", ("wire.natt_ports[1]", 2, "from 1 to 65535")),
        ("natt_ports = \"4500\"", ("wire.natt_ports", 2, "expected an integer, found a string")),
        ("ping_spis = 256", ("wire.ping_spis", 2, "from 1 to 255")),
        ("ping_spi = 7", ("wire.ping_spi", 2, "unknown key")),
    ] {
        assert_errors(lines, &of(lines), &[wanted]);
    }
    let config = parse(&of("natt_ports = [4501, 4502]\nping_spis = [7, 8]")).expect("a good file");
    assert_eq!(config.wire.natt_ports, [4501, 4502, 4501, 4501]);
    assert_eq!(config.wire.ping_spis, [7, 8, 0, 0]);
    assert_eq!(parse("").expect("nothing").wire, esp_common::Wire::default());
}

#[test]
fn budgets_are_rates_and_a_burst() {
    let of = |lines: &str| format!("[budget]\n{lines}\n");
    for (lines, wanted) in [
        ("sa = 0", ("budget.sa", 2, "from 1 to 10000000")),
        ("peer = \"fast\"", ("budget.peer", 2, "expected an integer")),
        ("burst = \"1ms\"", ("budget.burst", 2, "from 20ms to 4s")),
        ("tunnel = 7", ("budget.tunnel", 2, "unknown key")),
    ] {
        assert_errors(lines, &of(lines), &[wanted]);
    }
    let config = parse(&of("sa = 100000\nunknown = 1000")).expect("a good file");
    let wanted = Budgets { sa_ns: 10_000, peer_ns: 0, unknown_ns: 1_000_000, burst_ns: 100_000_000 };
    assert_eq!(config.budgets, wanted);
    assert_eq!(parse("").expect("nothing").budgets, Budgets::default());
}

#[test]
fn steering_is_a_list_of_cpus_and_a_queue() {
    let of = |lines: &str| format!("[steer]\n{lines}\n");
    for (lines, wanted) in [
        ("", ("steer.cpus", 1, "missing")),
        ("cpus = 2", ("steer.cpus", 2, "expected a string")),
        ("cpus = \"\"", ("steer.cpus", 2, "names no CPU")),
        ("cpus = \"5-2\"", ("steer.cpus", 2, "such as 2-5,8")),
        ("cpus = \"0-9000\"", ("steer.cpus", 2, "below 8192")),
        ("cpus = \"0\"\nqueue = 7", ("steer.queue", 3, "from 8 to 16384")),
        ("cpus = \"0\"\ncpu = 7", ("steer.cpu", 3, "unknown key")),
    ] {
        assert_errors(lines, &of(lines), &[wanted]);
    }
    let config = parse(&of("cpus = \"2-4,7\"")).expect("a good file");
    let wanted = Steer { cpus: [2, 3, 4, 7].into(), queue: 2_048 };
    assert_eq!(config.steer, Some(wanted));
    assert_eq!(parse("").expect("nothing").steer, None);
}
