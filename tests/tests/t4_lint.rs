//! `status`, and `check --dump` of the same host, name what is unwise in real SAs.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    lab::{Gateway, Lab, Side, batch},
    run,
};
use std::collections::BTreeSet;

const WEAK: &str = "auth-trunc 'hmac(sha1)' 0x0123456789abcdef0123456789abcdef01234567 96 enc 'cbc(aes)' \
                    0xfedcba9876543210fedcba9876543210";
const SOUND: &str =
    "aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128 replay-window 64";
const PLAIN: &str = "auth-trunc 'hmac(sha256)' 0x0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 128 \
                     enc 'ecb(cipher_null)' '' replay-window 64";

#[test]
#[ignore = "T4: root, ESP, on the newest kernel"]
fn what_is_unwise_in_an_sa_is_named_live_and_from_a_dump() -> Result<()> {
    let lab = Lab::new()?;
    let mut a = Gateway::new(&lab, Side::A, "")?;
    a.start()?;
    let (out, back) = ("src 10.55.55.1 dst 10.66.66.1", "src 10.66.66.1 dst 10.55.55.1");
    let cases: [(&str, [String; 2], &[&str]); 4] = [
        ("nothing", [sa(out, 0x1001, "tunnel", SOUND), sa(back, 0x1002, "tunnel", SOUND)], &[]),
        (
            "the habits of the lab",
            [sa(out, 0x1001, "tunnel", WEAK), sa(back, 0x1001, "tunnel", WEAK)],
            &["same-spi", "small-replay-window", "weak-algorithm"],
        ),
        (
            "no encryption",
            [sa(out, 0x1001, "tunnel", PLAIN), sa(back, 0x1002, "tunnel", SOUND)],
            &["no-encryption"],
        ),
        (
            "one mode each",
            [sa(out, 0x1001, "transport", SOUND), sa(back, 0x1002, "tunnel", SOUND)],
            &["mode-pair"],
        ),
    ];
    for (case, states, wanted) in cases {
        a.netns.ip("xfrm state flush")?;
        batch(&a.netns, &states.join("\n"))?;
        let wanted: BTreeSet<String> = wanted.iter().map(|code| (*code).to_owned()).collect();
        let live = codes(&a.agent()?.status_json()?)?;
        ensure!(live == wanted, "{case}: {live:?}, not {wanted:?}");
        let dumped = dumped(&a)?;
        ensure!(dumped == wanted, "{case}: {dumped:?} of the dump, not {wanted:?}");
    }
    Ok(())
}

fn sa(ends: &str, spi: u32, mode: &str, rest: &str) -> String {
    format!("xfrm state add {ends} proto esp spi {spi:#x} mode {mode} {rest}")
}

fn codes(value: &serde_json::Value) -> Result<BTreeSet<String>> {
    let lints = value["lints"].as_array().context("no lints")?;
    lints.iter().map(|lint| Ok(lint["code"].as_str().context("no code")?.to_owned())).collect()
}

/// As somebody would who has only the text of `ip xfrm` and the addresses that it shows.
fn dumped(a: &Gateway) -> Result<BTreeSet<String>> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), a.netns.ip("xfrm state list nokeys")?)?;
    let mut command = a.binary.command(&a.netns);
    let text = run::text(command.args(["check", "--json", "--dump"]).arg(file.path()))?;
    codes(&serde_json::from_str(&text)?)
}
