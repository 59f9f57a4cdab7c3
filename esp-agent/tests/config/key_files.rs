//! Keys in files, through `load` and `check`.

use crate::changed;
use esp_agent::cmd::check::check;
use esp_agent::instance::{Instance, Netns};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const KEY: &str = "1f9be207c45a6683d12e70bb1894f53c";

/// A directory with a configuration that names `b.key`, whose mode is `mode`.
fn site(mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let key = dir.path().join("b.key");
    std::fs::write(&key, format!("0x{KEY}\n")).expect("the key is written");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).expect("the mode is set");
    let path = dir.path().join("site.toml");
    let text = changed(&format!("encryption_key = \"{KEY}\""), "encryption_key_file = \"b.key\"");
    std::fs::write(&path, text).expect("the file is written");
    (dir, path)
}

fn run(path: &Path, json: bool) -> (String, String) {
    let mut out = Vec::new();
    let root = path.parent().expect("a directory");
    let instance = Instance::at("test".into(), Netns::Cookie(7), root, root).expect("an instance");
    let code = check(path, &instance.durable_at(root), json, &mut out).expect("memory can be written");
    (format!("{code:?}"), String::from_utf8(out).expect("output is text"))
}

fn code(number: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(number))
}

#[test]
fn a_private_key_file_is_as_good_as_the_key() {
    let (_dir, path) = site(0o600);
    let config = esp_agent::config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    let inline = crate::good();
    for (one, two) in config.desired().sas.iter().zip(&inline.desired().sas) {
        assert_eq!(one.sa, two.sa);
    }
    let (exit, out) = run(&path, false);
    assert_eq!(exit, code(0));
    assert!(out.ends_with("site.toml: ok: tunnels 1, SAs 2, policies 3, lints 4\n"), "{out}");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let (dir, path) = site(0o644);
    let (exit, out) = run(&path, false);
    assert_eq!(exit, code(64));
    let wanted = format!(
        "{0}/site.toml:21: tunnel[0].in.encryption_key_file: {0}/b.key is open to group or others (mode 0644): \
         chmod 600 it\n",
        dir.path().display()
    );
    assert_eq!(out, wanted);
}

#[test]
fn json_holds_the_same() {
    let (_dir, path) = site(0o644);
    let (exit, out) = run(&path, true);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(exit, code(64));
    assert_eq!(value.pointer("/ok"), Some(&false.into()));
    assert_eq!(value.pointer("/errors/0/line"), Some(&21.into()));
    assert_eq!(value.pointer("/errors/0/path"), Some(&"tunnel[0].in.encryption_key_file".into()));
    let (_dir, path) = site(0o600);
    let (exit, out) = run(&path, true);
    let value: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(exit, code(0));
    assert_eq!(value.pointer("/summary/policies"), Some(&3.into()));
    assert!(value.pointer("/lints").and_then(|lints| lints.as_array()).is_some_and(|lints| {
        lints.iter().any(|lint| lint.pointer("/code") == Some(&"readable-config".into()))
    }));
}

/// A key that stands in a file which only its owner reads is as safe as one in a file of its own.
#[test]
fn an_inline_key_in_a_private_file_earns_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("site.toml");
    std::fs::write(&path, crate::GOOD).unwrap();
    let codes = |mode| {
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let config = esp_agent::config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        config.lints.into_iter().map(|lint| lint.code).collect::<std::collections::BTreeSet<_>>()
    };
    use esp_agent::config::LintCode::{InlineKey, ReadableConfig};
    assert_eq!(codes(0o600), [].into());
    assert_eq!(codes(0o640), [InlineKey, ReadableConfig].into());
}
