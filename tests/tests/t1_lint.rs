//! What `check --dump` says of the text of real kernels, word for word.
//!
//! `UPDATE_GOLDEN=1` writes the golden text anew.

use esp_agent::cmd::check_dump;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/ip_xfrm")
}

fn check(names: &[String], json: bool) -> String {
    let files: Vec<PathBuf> = names.iter().map(|name| golden().join(name)).collect();
    let mut out = Vec::new();
    let code = check_dump::check(&files, json, &mut out).expect("a vector takes it");
    let text = String::from_utf8(out).expect("UTF-8");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS), "{text}");
    text
}

/// Kernels of which there are samples.
fn kernels() -> Vec<String> {
    let names =
        fs::read_dir(golden()).expect("the samples").map(|entry| entry.expect("an entry").file_name());
    let names =
        names.filter_map(|name| name.to_string_lossy().strip_suffix("-state-s.txt").map(str::to_owned));
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

#[test]
fn the_dumps_of_real_kernels_are_understood() {
    for kernel in kernels() {
        let said = check(&["state-s", "policy-s"].map(|kind| format!("{kernel}-{kind}.txt")), false);
        let path = golden().join(format!("{kernel}.lints"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &said).expect("the golden text is written");
        }
        assert_eq!(fs::read_to_string(&path).expect("the golden text"), said, "{kernel}");
    }
}

#[test]
fn json_and_text_agree() {
    for kernel in kernels() {
        let names = ["state-s", "policy-s"].map(|kind| format!("{kernel}-{kind}.txt"));
        let json: serde_json::Value = serde_json::from_str(&check(&names, true)).expect("JSON");
        let text = check(&names, false);
        let lints = json["lints"].as_array().expect("a list");
        assert_eq!(lints.len(), text.lines().count() - 1, "{text}");
        for (lint, line) in lints.iter().zip(text.lines()) {
            assert!(line.contains(lint["code"].as_str().expect("a code")), "{line}");
        }
    }
}

#[test]
fn a_dump_that_is_none_is_refused_with_its_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("dump");
    fs::write(&file, "src 10.0.0.1 dst 10.0.0.2\n\tproto esp spi 0xZZ reqid 1 mode tunnel\n")
        .expect("a file");
    let mut out = Vec::new();
    let code = check_dump::check(&[file], false, &mut out).expect("a vector takes it");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(64)));
    assert!(String::from_utf8_lossy(&out).ends_with("dump:2: holds a number that is none\n"));
}
