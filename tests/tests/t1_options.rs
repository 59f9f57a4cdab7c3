//! docs/options.md is what the code says, and the code's list has every key that the configuration takes.
//!
//! `UPDATE_GOLDEN=1` writes the tables anew.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect, in its helpers too")]

use esp_agent::config::{
    self,
    options::{OPTIONS, markdown},
};
use std::{collections::BTreeSet, fs, path::Path};

const START: &str = "<!-- generated: options -->\n";
const END: &str = "<!-- end -->";

#[test]
fn the_tables_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/options.md");
    let old = fs::read_to_string(&path).unwrap();
    let (head, rest) = old.split_once(START).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let new = format!("{head}{START}{}{END}{tail}", markdown());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &new).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), new, "run with UPDATE_GOLDEN=1 and look at the change");
}

#[test]
fn every_key_that_is_taken_has_a_row_and_no_other_has() {
    let cases = [
        ("sa", "[[sa]]\nzzz = 1", "sa[0].zzz"),
        ("sa.selector", "[[sa]]\nselector = { zzz = 1 }", "sa[0].selector.zzz"),
        ("sa.lifetime", "[[sa]]\nlifetime = { zzz = 1 }", "sa[0].lifetime.zzz"),
        ("sa.encap", "[[sa]]\nencap = { zzz = 1 }", "sa[0].encap.zzz"),
        ("sa.sequence", "[[sa]]\nsequence = { zzz = 1 }", "sa[0].sequence.zzz"),
        ("sa.offload", "[[sa]]\noffload = { zzz = 1 }", "sa[0].offload.zzz"),
        ("policy", "[[policy]]\nzzz = 1", "policy[0].zzz"),
        ("default_policy", "[default_policy]\nzzz = 1", "default_policy.zzz"),
        ("policy.template", "[[policy]]\n[[policy.template]]\nzzz = 1", "policy[0].template[0].zzz"),
    ];
    for (table, text, path) in cases {
        let listed: BTreeSet<&str> = OPTIONS
            .iter()
            .filter(|row| row.table == table && !row.key.is_empty())
            .map(|row| row.key)
            .collect();
        let mut taken = known(text, path);
        // Which transform is read depends on the protocol.
        if table == "sa" {
            for protocol in ["ah", "comp"] {
                taken.extend(known(&format!("{text}\nprotocol = \"{protocol}\""), path));
            }
        }
        // The ways to give a key share its row.
        taken.retain(|key| !key.ends_with("_file") && !key.ends_with("_credential"));
        assert_eq!(taken, listed.into_iter().map(str::to_owned).collect(), "{table}");
    }
}

/// The keys that the error about an unknown one names.
fn known(text: &str, path: &str) -> BTreeSet<String> {
    let errors = config::parse(text, Path::new("/nonexistent"), "options.toml").unwrap_err();
    let unknown = errors.0.iter().find(|error| error.path == path).unwrap_or_else(|| panic!("{errors}"));
    let (_, keys) = unknown.text.split_once("known here: ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}
