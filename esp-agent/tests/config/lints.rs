//! Each lint, by a file that earns it, beside a file that does not.

use crate::{changed, good, parse};
use esp_agent::config::LintCode;

fn lints(text: &str) -> Vec<(LintCode, String, usize)> {
    let config = parse(text).unwrap_or_else(|errors| panic!("{errors}"));
    config.lints.into_iter().map(|lint| (lint.code, lint.path, lint.line)).collect()
}

#[test]
fn the_base_file_earns_nothing_but_its_inline_keys() {
    assert!(good().lints.iter().all(|lint| lint.code == LintCode::InlineKey));
    assert_eq!(good().lints.len(), 4);
}

#[test]
fn a_bad_habit_is_named_at_its_place() {
    let key = "a9d0431c58e7b2660f84c13d92fe075b6a1e38cdf749b0250e86d75aa31c9b42";
    let both = "1f9be207c45a6683d12e70bb1894f53c";
    let cases: &[(&str, &str, (LintCode, &str, usize))] = &[
        ("spi = 0x1001", "spi = 0x1002", (LintCode::SameSpi, "tunnel[0].out.spi", 24)),
        ("7c02e9d14b3fa6581590cb6edd8731f4", both, (LintCode::SameKey, "tunnel[0].out.spi", 24)),
        (
            key,
            "a9d0431c58e7b2660f84c13d92fe075b",
            (LintCode::ShortIntegrityKey, "tunnel[0].in.integrity_key", 22),
        ),
        ("\"hmac(sha256)\"", "\"sha256\"", (LintCode::ShortIcv, "tunnel[0].integrity", 18)),
        (
            both,
            "01010101010101010101010101010101",
            (LintCode::GuessableKey, "tunnel[0].in.encryption_key", 21),
        ),
        (
            "[tunnel.in]",
            "replay_window = 8\n[tunnel.in]",
            (LintCode::SmallReplayWindow, "tunnel[0].replay_window", 19),
        ),
    ];
    for (from, to, (code, path, line)) in cases {
        let found = lints(&changed(from, to));
        assert!(found.contains(&(*code, (*path).to_owned(), *line)), "{code:?}: {found:?}");
    }
}

#[test]
fn a_counter_mode_with_a_static_key_is_named() {
    let text = r#"[[sa]]
src = "10.0.0.1"
dst = "10.0.0.2"
spi = 0x3001
mode = "transport"
aead = "rfc7539esp(chacha20,poly1305)"
key = "5e13f8a70b9cd426813a6fd2e07549bc1db4087ec36295fa3017e28d5bc64a90cc3e19f2"
"#;
    assert!(lints(text).contains(&(LintCode::StaticNonce, "sa[0].key".to_owned(), 7)));
}

#[test]
fn in_without_fwd_is_named() {
    let policy = |dir: &str| {
        format!(
            "[[policy]]\nname = \"{dir}\"\ndir = \"{dir}\"\nsrc = \"10.2.0.0/16\"\ndst = \"10.1.0.0/16\"\n\
             template = [{{ src = \"10.0.0.2\", dst = \"10.0.0.1\", mode = \"tunnel\", reqid = 5 }}]\n"
        )
    };
    assert_eq!(lints(&policy("in")), [(LintCode::MissingFwd, "policy[0].name".to_owned(), 2)]);
    assert_eq!(lints(&(policy("in") + &policy("fwd"))), []);
}

#[test]
fn more_policies_than_a_guard_checks_are_named() {
    let list = |prefix: u8, count: usize| -> String {
        (0..count).map(|net| format!("\"10.{prefix}.{net}.0/24\",")).collect()
    };
    let text = changed("\"192.168.1.0/24\"", &format!("[{}]", list(1, 65)))
        .replace("\"192.168.2.0/24\"", &format!("[{}]", list(2, 64)));
    let codes: Vec<LintCode> = lints(&text).into_iter().map(|(code, ..)| code).collect();
    assert!(
        codes.contains(&LintCode::TooManyPolicies) && codes.contains(&LintCode::TooManySelectors),
        "{codes:?}"
    );
}

#[test]
fn encap_ports_follow_the_direction() {
    let text = changed("[tunnel.in]", "encap = { local_port = 4500, remote_port = 61000 }\n[tunnel.in]");
    let config = parse(&text).expect("a valid file");
    let ports: Vec<(u16, u16)> = config
        .desired()
        .sas
        .iter()
        .filter_map(|keyed| keyed.sa.encap)
        .map(|encap| (encap.sport, encap.dport))
        .collect();
    assert_eq!(ports, [(61000, 4500), (4500, 61000)]);
}
