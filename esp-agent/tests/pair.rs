//! `keygen` and `pair` as their users see them: files that fit and that `check` has nothing against.

use esp_agent::cli::{Cli, Command};
use esp_agent::cmd::{keygen, pair};
use esp_agent::config::{self, Config, LintCode};
use esp_agent::failure::Failure;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

const SUITES: [&str; 6] = [
    "aes-gcm-128",
    "aes-gcm-256",
    "chacha20-poly1305",
    "aes-cbc-128-sha256",
    "aes-cbc-256-sha256",
    "aes-cbc-256-sha512",
];

/// Runs a command line; what it printed.
fn run(line: &str) -> Result<String, Failure> {
    let args = line.split_whitespace().map(Into::into);
    let cli = Cli::parse_or_exit_code(args).unwrap_or_else(|_| panic!("{line}"));
    let mut out = Vec::new();
    let code = if let Command::Pair(args) = &cli.command {
        pair::pair(args, &mut out)?
    } else if let Command::Keygen(args) = &cli.command {
        keygen::keygen(args, &mut out)?
    } else {
        panic!("{line}")
    };
    assert_eq!(code, ExitCode::SUCCESS);
    Ok(String::from_utf8(out).expect("text"))
}

fn pair_line(out: &Path, more: &str) -> String {
    let out = out.display();
    format!(
        "esp-agent pair --name site-b --left 198.51.100.1 --right 203.0.113.1 --left-net 10.1.0.0/16 \
         --right-net 10.2.0.0/16,10.3.0.0/16 --interface eth5 --out {out} {more}"
    )
}

fn loaded(path: &Path) -> Config {
    assert_eq!(std::fs::metadata(path).expect("a file").permissions().mode() & 0o777, 0o600);
    config::load(path).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_two_files_fit_and_nothing_is_said_against_them() {
    for suite in SUITES {
        let dir = tempfile::tempdir().unwrap();
        let told = run(&pair_line(dir.path(), &format!("--suite {suite}"))).unwrap();
        assert!(told.contains("left.toml: for 198.51.100.1") && told.contains("right.toml: for 203.0.113.1"));
        let [left, right] = ["left.toml", "right.toml"].map(|name| loaded(&dir.path().join(name)));
        for config in [&left, &right] {
            let others: Vec<_> =
                config.lints.iter().filter(|lint| lint.code != LintCode::StaticNonce).collect();
            assert!(others.is_empty(), "{suite}: {others:?}");
            assert_eq!((config.ifaces.as_slice(), config.guard.as_raw()), (&["eth5".to_owned()][..], [1; 4]));
        }
        let (left, right) = (left.desired(), right.desired());
        assert_eq!((left.policies.len(), right.policies.len()), (6, 6));
        for (one, two) in left.sas.iter().zip(right.sas.iter().rev()) {
            assert!(one.sa.same_as(&two.sa), "{suite}: {:?} {:?}", one.sa, two.sa);
            assert!(one.sa.esn && one.sa.replay_window == 1024);
            assert_eq!(one.keys.print(), two.keys.print());
        }
        let [inbound, outbound] = left.sas.as_slice() else { panic!("two SAs") };
        assert_ne!(inbound.sa.id.spi, outbound.sa.id.spi);
        assert_ne!(inbound.sa.keys, outbound.sa.keys);
    }
}

#[test]
fn two_pairs_have_nothing_in_common() {
    let dir = tempfile::tempdir().unwrap();
    let keys = ["one", "two"].map(|name| {
        run(&pair_line(&dir.path().join(name), "")).unwrap();
        loaded(&dir.path().join(name).join("left.toml")).desired().sas
    });
    for (one, two) in keys[0].iter().zip(&keys[1]) {
        assert_ne!((one.sa.id.spi, one.sa.keys), (two.sa.id.spi, two.sa.keys));
    }
}

#[test]
fn names_and_encapsulation_are_as_asked() {
    let dir = tempfile::tempdir().unwrap();
    run(&pair_line(dir.path(), "--encap --left-interface wan0 --left-file a.toml --right-file b.toml"))
        .unwrap();
    let [a, b] = ["a.toml", "b.toml"].map(|name| loaded(&dir.path().join(name)));
    assert_eq!((a.ifaces, b.ifaces), (vec!["wan0".to_owned()], vec!["eth5".to_owned()]));
    assert!(a.tunnels[0].sas.iter().all(|keyed| keyed.sa.encap.is_some()));
}

#[test]
fn nothing_is_overwritten_and_nothing_wrong_is_written() {
    let dir = tempfile::tempdir().unwrap();
    run(&pair_line(dir.path(), "")).unwrap();
    let before = std::fs::read(dir.path().join("left.toml")).unwrap();
    let refused = run(&pair_line(dir.path(), "")).unwrap_err();
    assert!(matches!(refused, Failure::Private(_)), "{refused}");
    assert_eq!(std::fs::read(dir.path().join("left.toml")).unwrap(), before);

    let fresh = tempfile::tempdir().unwrap();
    let wrong = pair_line(fresh.path(), "").replace("10.1.0.0/16", "10.1.2.3/16");
    let refused = run(&wrong).unwrap_err();
    assert!(refused.to_string().contains("write 10.1.0.0/16"), "{refused}");
    assert_eq!(std::fs::read_dir(fresh.path()).unwrap().count(), 0);
}

#[test]
fn a_key_file_is_what_a_configuration_reads() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let line = |more: &str| format!("esp-agent keygen --out {} {more}", at("k").display());
    assert_eq!(run("esp-agent keygen --suite aes-gcm-128").unwrap().trim().len(), 40);
    assert_eq!(run("esp-agent keygen --bits 256").unwrap().trim().len(), 64);
    assert!(run("esp-agent keygen --suite aes-cbc-256-sha256").is_err(), "two keys on one output");

    let told = run(&line("--suite aes-cbc-256-sha512")).unwrap();
    assert!(told.contains("k.enc") && told.contains("k.auth"), "{told}");
    for (name, digits) in [("k.enc", 64), ("k.auth", 128)] {
        assert_eq!(std::fs::read_to_string(at(name)).unwrap().trim().len(), digits);
        assert_eq!(std::fs::metadata(at(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(at("k.enc")).unwrap();
    assert!(run(&line("--suite aes-cbc-256-sha512")).is_err());
    assert_eq!(std::fs::read(at("k.enc")).unwrap(), before);
    run(&line("--suite aes-cbc-256-sha512 --force")).unwrap();
    assert_ne!(std::fs::read(at("k.enc")).unwrap(), before);
}
