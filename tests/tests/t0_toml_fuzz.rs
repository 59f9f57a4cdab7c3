//! No text makes the configuration's parser panic; what is wrong has a line, and no error shows a key.

use esp_agent::config::{self, Config, ConfigErrors};
use proptest::prelude::*;
use std::{fs, path::Path};

/// A file with keys in it, of each kind of section.
const INLINE: &str = r#"
interfaces = ["eth5"]
reconcile = "repair"
[metrics]
listen = "127.0.0.1:9754"
[guard]
unknown_spi = "enforce"
[maps]
sas = 16384
[[tunnel]]
name = "site-b"
local = "10.55.55.1"
remote = "10.66.66.1"
local_net = ["192.168.1.0/24", "192.168.3.0/24"]
remote_net = "192.168.2.0/24"
encryption = "cbc(aes)"
integrity = "hmac(sha256)"
replay_window = 64
encap = { local_port = 4500, remote_port = 4500 }
[tunnel.in]
spi = 0x1001
encryption_key = "c41f9be207c45a6683d12e70bb1894f5"
integrity_key = "3c1f9be207c45a6683d12e70bb1894f53c1f9be207c45a6683d12e70bb1894f6"
[tunnel.out]
spi = 0x1002
encryption_key = "d41f9be207c45a6683d12e70bb1894f5"
integrity_key = "4c1f9be207c45a6683d12e70bb1894f53c1f9be207c45a6683d12e70bb1894f6"
[[sa]]
src = "10.0.0.1"
dst = "10.0.0.2"
spi = 0x2001
mode = "transport"
aead = "rfc4106(gcm(aes))"
key = "e41f9be207c45a6683d12e70bb1894f5aabbccdd"
mark = { value = 1, mask = 0xff }
lifetime = { soft_time = "50m", hard_time = "1h", hard_bytes = "10GiB" }
[[policy]]
name = "raw"
dir = "out"
src = "10.0.0.1/32"
dst = "10.0.0.2/32"
priority = 7
[[policy.template]]
mode = "transport"
reqid = 7
[[name]]
tunnel = "site-c"
reqid = 5
"#;

/// Pieces of the keys that no error may show, in lower case.
const KEYS: [&str; 5] =
    ["c41f9be207c45a66", "3c1f9be207c45a66", "d41f9be207c45a66", "4c1f9be207c45a66", "e41f9be207c45a66"];

const VALUES: [&str; 22] = [
    "",
    "0",
    "-1",
    "1",
    "99999999999999999999",
    "0x1_0000_0000",
    "1.5",
    "nan",
    "true",
    "\"\"",
    "\"x\"",
    "[]",
    "{}",
    "[[1]]",
    "\"::\"",
    "\"0.0.0.0/33\"",
    "\"10.0.0.0/8\"",
    "1979-05-27",
    "\"\\u0000\"",
    "{ value = 1 }",
    "\"é\"",
    "\"c41f9be207c45a6683d12e70bb1894f5c\"",
];

fn texts() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../esp-agent/dist/examples");
    let entries = fs::read_dir(dir).expect("the examples").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    assert!(files.len() > 2, "{files:?}");
    let examples = files.into_iter().map(|path| fs::read_to_string(path).expect("an example"));
    examples.chain([INLINE.to_owned()]).collect()
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    config::parse(text, Path::new("/nonexistent"), "a.toml")
}

fn verdict(text: &str) -> Result<(), TestCaseError> {
    let said = match parse(text) {
        Ok(config) => format!("{config:?}"),
        Err(errors) => {
            prop_assert!(!errors.0.is_empty());
            let lines = text.lines().count().max(1);
            for error in &errors.0 {
                prop_assert!(error.line.is_some_and(|line| (1..=lines + 1).contains(&line)), "{error}");
                prop_assert!(!error.text.is_empty() && !error.text.contains('\n'), "{error:?}");
            }
            format!("{errors}\n{errors:?}")
        }
    };
    for key in KEYS {
        prop_assert!(!said.to_lowercase().contains(key), "a key is shown: {}", said);
    }
    Ok(())
}

#[test]
fn the_text_that_is_changed_is_valid() {
    let config = parse(INLINE).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((config.tunnels.len(), config.sas.len(), config.policies.len()), (1, 1, 1));
}

#[test]
fn a_wrong_value_is_named_by_line_and_key() {
    for (line, key) in [
        ("spi = 0x1001", "tunnel[0].in.spi"),
        ("priority = 7", "policy[0].priority"),
        ("sas = 16384", "maps.sas"),
    ] {
        let name = line.split(' ').next().expect("a key");
        let text = INLINE.replace(line, &format!("{name} = \"x\""));
        let errors = parse(&text).expect_err("a word for a number");
        let wanted = text.lines().position(|line| line == format!("{name} = \"x\"")).map(|index| index + 1);
        let found =
            errors.0.iter().find(|error| error.path == key).unwrap_or_else(|| panic!("{key}: {errors}"));
        assert_eq!(found.line, wanted, "{errors}");
    }
}

/// As long as a key of a real SA, as short as a name may be, and the least that is taken for a key.
#[test]
fn a_key_in_the_wrong_place_is_shown_by_nothing() {
    for text in texts() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, key) in lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.split_once('=')?.0)))
        {
            for digits in [32, 31, 16] {
                let typed = format!("{key}= \"{}\"", &"c41f9be207c45a6683d12e70bb1894f5"[..digits]);
                let mut changed = lines.clone();
                changed[at] = &typed;
                verdict(&changed.join("\n")).unwrap_or_else(|error| panic!("{typed}: {error}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        verdict(&text)?;
    }

    #[test]
    fn any_tokens_are_read_or_refused(
        text in "(\\[\\[tunnel\\]\\]\n|\\[tunnel\\.in\\]\n|\\[\\[sa\\]\\]\n|\\[\\[policy\\.template\\]\\]\n|name = |spi = |key = |0x1|\"a\"|\\{|\\}|\\[|\\]|,|\n|é){0,40}"
    ) {
        verdict(&text)?;
    }

    #[test]
    fn any_change_of_an_example_is_read_or_refused(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((0..5_u8, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4),
    ) {
        let texts = texts();
        let mut lines: Vec<String> = which.get(&texts).lines().map(str::to_owned).collect();
        for (kind, at, what) in changes {
            let (at, what_line) = (at.index(lines.len()), what.index(lines.len()));
            match kind {
                0 => { if lines.len() > 1 { lines.remove(at); } }
                1 => lines.insert(at, lines[what_line].clone()),
                2 => lines.swap(at, what_line),
                3 => {
                    let key = lines[at].split('=').next().unwrap_or_default().to_owned();
                    lines[at] = format!("{key}= {}", what.get(&VALUES));
                }
                _ => {
                    let keep = what.index(lines[at].chars().count() + 1);
                    lines[at] = lines[at].chars().take(keep).collect();
                }
            }
        }
        verdict(&lines.join("\n"))?;
    }
}
