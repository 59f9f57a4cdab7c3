//! Nothing that is printed holds a key, whatever the file looks like, and no file makes the parser panic.

use crate::{GOOD, good, parse};
use proptest::prelude::*;

/// The keys of [`GOOD`], in its order.
const KEYS: [&str; 4] = [
    "1f9be207c45a6683d12e70bb1894f53c",
    "a9d0431c58e7b2660f84c13d92fe075b6a1e38cdf749b0250e86d75aa31c9b42",
    "7c02e9d14b3fa6581590cb6edd8731f4",
    "5e13f8a70b9cd426813a6fd2e07549bc1db4087ec36295fa3017e28d5bc64a90",
];

/// Everything that a file can make the agent say.
fn shown(text: &str) -> String {
    match parse(text) {
        Ok(config) => {
            let lints: String = config.lints.iter().map(|lint| format!("{lint}\n")).collect();
            let json = serde_json::to_string(&config.lints).expect("lints are plain data");
            format!("{config:?}\n{config:#?}\n{:?}\n{lints}{json}", config.desired())
        }
        Err(errors) => format!("{errors}\n{errors:?}"),
    }
}

/// A key counts as shown when eight digits of it in a row are, or its bytes as a list of numbers.
fn leaks(output: &str) -> Option<String> {
    let output = output.to_lowercase();
    let mut pieces = KEYS.iter().flat_map(|key| (0..=key.len() - 8).filter_map(|at| key.get(at..at + 8)));
    let hex = pieces.find(|piece| output.contains(piece)).map(str::to_owned);
    hex.or_else(|| {
        let bytes = KEYS.map(|key| const_hex::decode(key).expect("a test key"));
        let lists =
            bytes.map(|bytes| format!("{:?}", bytes.get(..6).expect("a long key")).replace(['[', ']'], ""));
        lists.into_iter().find(|list| output.contains(list))
    })
}

#[test]
fn a_valid_file_shows_no_key() {
    assert!(good().tunnels.iter().all(|tunnel| tunnel.sas.len() == 2));
    assert_eq!(leaks(&shown(GOOD)), None);
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    let key = KEYS.first().expect("a key");
    let quoted = format!("\"{key}\"");
    let places = [
        ("\"site-b\"", format!("\"{}\"", key.repeat(3))),
        ("spi = 0x1001", format!("spi = {quoted}")),
        ("spi = 0x1001", format!("spi = 0x{key}")),
        ("\"10.55.55.1\"", quoted.clone()),
        ("\"192.168.1.0/24\"", quoted.clone()),
        ("\"cbc(aes)\"", quoted.clone()),
        ("\"tunnel\"", quoted.clone()),
        ("\"1s\"", quoted.clone()),
        ("\"enforce\"", quoted.clone()),
        ("[\"eth5\"]", quoted.clone()),
        ("sas = 1024", format!("sas = {quoted}")),
        ("sas = 1024", format!("{key} = 1")),
        ("encryption_key = ", "encryption_key_file = ".to_owned()),
        ("encryption_key = ", "encryption_key_credential = ".to_owned()),
        ("encryption_key = \"", "encryption_key = \"zz".to_owned()),
        ("encryption_key = \"", "encryption_key = \"00".to_owned()),
        ("encryption_key = \"", "encryption_key = ".to_owned()),
        ("encryption_key = ", "encryption_key ".to_owned()),
    ];
    for (from, to) in places {
        let text = crate::changed(from, &to);
        assert!(parse(&text).is_err(), "{from} -> {to}: accepted");
        assert_eq!(leaks(&shown(&text)), None, "{from} -> {to}");
    }
}

/// Text that often gets past the TOML parser.
fn toml_like() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "[[tunnel]]",
        "[tunnel.in]",
        "[tunnel.out]",
        "[[sa]]",
        "[[policy]]",
        "[[policy.template]]",
        "[guard]",
        "[maps]",
        "name",
        "mode",
        "local",
        "remote",
        "local_net",
        "src",
        "dst",
        "spi",
        "key",
        "encryption_key",
        "encryption_key_file",
        "integrity",
        "encryption",
        "aead",
        "icv",
        "mark",
        "encap",
        "protocol",
        "interfaces",
    ]);
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        "\"[a-z0-9:/.()]{0,40}\"",
        prop::sample::select(vec![
            "\"tunnel\"",
            "\"transport\"",
            "\"10.0.0.1\"",
            "\"::1\"",
            "\"10.0.0.0/8\"",
            "\"cbc(aes)\"",
            "\"sha256\"",
            "[]",
            "{}",
            "[1, \"a\"]",
            "1.5",
            "1979-05-27",
            "{ value = 1 }",
            "\"rfc4106(gcm(aes))\"",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec((key, value), 0..24).prop_map(|lines| {
        let line = |(key, value): (&str, String)| match key.starts_with('[') {
            true => format!("{key}\n"),
            false => format!("{key} = {value}\n"),
        };
        lines.into_iter().map(line).collect()
    })
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let answer = shown(&text);
        prop_assert!(!answer.is_empty());
    }

    #[test]
    fn toml_like_text_is_answered(text in toml_like()) {
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.0.is_empty());
            let lines = text.lines().count().max(1);
            prop_assert!(errors.0.iter().all(|error| error.line.is_some_and(|line| (1..=lines).contains(&line))));
        }
    }

    #[test]
    fn a_mutated_file_is_answered_without_its_keys(
        at in 0..GOOD.len(), cut in 0_usize..40, new in "[ -~\n]{0,3}"
    ) {
        let end = (at + cut).min(GOOD.len());
        let text = format!("{}{new}{}", GOOD.get(..at).unwrap_or(""), GOOD.get(end..).unwrap_or(""));
        prop_assert_eq!(leaks(&shown(&text)), None);
    }
}
