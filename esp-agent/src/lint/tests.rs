use super::dump::Dump;
use super::*;
use crate::xfrm::model::{Mode, Sa, SaId};
use esp_common::Spi;

const SA: &str = "replay-window 32 flag af-unspec\n\tauth-trunc hmac(sha256) <<Keys hidden>> 128\n\tenc cbc(aes) <<Keys hidden>>";

fn state(src: &str, dst: &str, spi: u32, mode: &str, rest: &str) -> String {
    format!("src {src} dst {dst}\n\tproto esp spi {spi:#010x} reqid 1 mode {mode}\n\t{rest}\n")
}

fn policy(src: &str, dst: &str, dir: &str, priority: u32) -> String {
    let (from, to) = if dir == "out" { ("10.0.0.1", "10.0.0.2") } else { ("10.0.0.2", "10.0.0.1") };
    format!(
        "src {src} dst {dst}\n\tdir {dir} priority {priority} ptype main\n\ttmpl src {from} dst {to}\n\t\tproto esp reqid 1 mode tunnel\n"
    )
}

/// The two SAs and three policies of a tunnel.
fn sound() -> String {
    [
        state("10.0.0.1", "10.0.0.2", 0x1001, "tunnel", SA),
        state("10.0.0.2", "10.0.0.1", 0x1002, "tunnel", SA),
        policy("10.1.0.0/16", "10.2.0.0/16", "out", 100),
        policy("10.2.0.0/16", "10.1.0.0/16", "in", 100),
        policy("10.2.0.0/16", "10.1.0.0/16", "fwd", 100),
    ]
    .concat()
}

fn codes(text: &str) -> Vec<LintCode> {
    let mut dump = Dump::default();
    dump.read(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    dump.findings().iter().map(|finding| finding.code).collect()
}

#[test]
fn nothing_is_said_against_a_sound_tunnel() {
    assert_eq!(codes(&sound()), []);
}

#[test]
fn each_fault_is_named() {
    let other = |rest: &str| sound() + &state("10.0.0.9", "10.0.0.8", 0x2001, "tunnel", rest);
    let hidden = "<<Keys hidden>>";
    let cases = [
        ("fwd is gone", sound().replace("dir fwd", "dir in"), vec![LintCode::MissingFwd]),
        (
            "no state",
            sound().replace("spi 0x00001001 reqid 1", "spi 0x00001001 reqid 2"),
            vec![LintCode::NoState],
        ),
        ("same SPI", sound().replace("0x00001002", "0x00001001"), vec![LintCode::SameSpi]),
        (
            "shadowed",
            sound() + &policy("10.1.5.0/24", "10.2.0.0/16", "out", 200),
            vec![LintCode::ShadowedPolicy],
        ),
        ("not shadowed", sound() + &policy("10.1.5.0/24", "10.2.0.0/16", "out", 50), vec![]),
        ("window 0", other(&SA.replace("window 32", "window 0")), vec![LintCode::SmallReplayWindow]),
        ("md5", other(&SA.replace("sha256", "md5")), vec![LintCode::ForbiddenAlgorithm]),
        ("sha1", other(&SA.replace("sha256", "sha1")), vec![LintCode::WeakAlgorithm]),
        ("3des", other(&SA.replace("cbc(aes)", "cbc(des3_ede)")), vec![LintCode::WeakAlgorithm]),
        ("null", other(&SA.replace("cbc(aes)", "ecb(cipher_null)")), vec![LintCode::NoEncryption]),
        (
            "no integrity",
            other(&format!("replay-window 32\n\tenc cbc(aes) {hidden}")),
            vec![LintCode::NoIntegrity],
        ),
        (
            "duplicate",
            sound() + &state("10.0.0.7", "10.0.0.2", 0x1001, "tunnel", &format!("{SA}\n\tmark 0x1/0xff")),
            vec![LintCode::DuplicateSa],
        ),
        (
            "mode pair",
            sound().replacen("mode tunnel", "mode transport", 1).replace("dir out", "dir fwd"),
            vec![LintCode::ModePair],
        ),
        ("no way back", sound().replace("10.2.0.0/16 dst", "10.3.0.0/16 dst"), vec![LintCode::NoWayBack]),
        ("only states", state("10.0.0.1", "10.0.0.2", 0x1001, "tunnel", SA), vec![]),
    ];
    for (name, text, wanted) in cases {
        assert_eq!(codes(&text), wanted, "{name}");
    }
}

#[test]
fn only_a_host_that_forwards_needs_fwd() {
    let mut dump = Dump::default();
    dump.read(&sound().replace("dir fwd", "dir out")).unwrap();
    let missing = |forwarding| {
        let facts = Facts { all_sas: false, all_policies: true, forwarding, locals: Vec::new(), now_s: None };
        let found = Scene { sas: &dump.sas, policies: &dump.policies, facts: &facts }.findings();
        found.iter().any(|finding| finding.code == LintCode::MissingFwd)
    };
    assert_eq!([Some(true), None, Some(false)].map(missing), [true, true, false]);
}

#[test]
fn sequence_numbers_that_end_soon_are_seen_at_their_rate() {
    let dst = "10.0.0.2".parse().unwrap();
    let mut sa = Sa::bare(SaId::esp(dst, Spi::new(0x1001)), "10.0.0.1".parse().unwrap(), Mode::Tunnel);
    sa.replay_window = 64;
    let busy =
        |sa: &Sa| ObservedSa { packets: 1_000_000 * 100, added_s: 1000, ..ObservedSa::fresh(sa.clone()) };
    let facts =
        Facts { all_sas: true, all_policies: true, forwarding: None, locals: Vec::new(), now_s: Some(1100) };
    let found = |seen: ObservedSa| Scene { sas: &[seen], policies: &[], facts: &facts }.findings();
    let [finding] = &found(busy(&sa))[..] else { panic!("one finding") };
    assert_eq!(finding.code, LintCode::SequenceLifetime);
    assert!(
        finding.reason.starts_with("at 1000000 packets/s its 32-bit sequence numbers end in 1 h"),
        "{finding}"
    );
    assert_eq!(found(ObservedSa { packets: 100, ..busy(&sa) }), []);
    sa.limits.soft_add_s = Some(3600);
    assert_eq!(found(busy(&sa)), [], "it is rekeyed before");
    sa.limits.soft_add_s = None;
    sa.esn = true;
    assert_eq!(found(busy(&sa)), []);
}
