//! The file of `rotate`: new SPIs and keys of one tunnel for one gateway.
//!
//! ```toml
//! tunnel = "site-b"
//! local = "198.51.100.1"      # the gateway that it is for
//! [in]                        # as [tunnel.in] of a configuration; [out] alike
//! spi = 0x5b1f00a3
//! key_file = "b-in.key"
//! ```

use super::document;
use super::key::{Key, KeyStore};
use super::report::{ConfigErrors, Report};
use super::scalar;
use super::section::Section;
use crate::rotation::{KeySet, Keying};
use std::net::IpAddr;
use std::path::Path;

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewKeys {
    /// Tunnel.
    pub tunnel: String,
    /// Outer address of the gateway that they are for.
    pub local: IpAddr,
    /// The keys.
    pub keying: Keying,
}

/// Parses `text`; key files are looked for from `base_dir`, `source_name` is the file in error texts. Whether the keys
/// fit the tunnel is for the agent to say, which has it.
///
/// # Errors
/// Everything that is wrong with it. The texts hold no key material.
pub fn parse(text: &str, base_dir: &Path, source_name: &str) -> Result<NewKeys, ConfigErrors> {
    let report = Report::new(source_name, text);
    let document = document::parse(text, &report);
    if !report.is_clean() {
        return Err(report.finish().err().unwrap_or(ConfigErrors(Vec::new())));
    }
    let read = read(Section::root(&document, &report), &KeyStore::new(base_dir));
    report.finish()?;
    read.ok_or_else(|| ConfigErrors::of_file(source_name, "is not complete".to_owned()))
}

fn read(mut root: Section<'_>, store: &KeyStore) -> Option<NewKeys> {
    for key in ["tunnel", "local", "in", "out"] {
        root.require(key);
    }
    let tunnel = root.text("tunnel", scalar::tunnel_name);
    let local = root.text("local", scalar::host_addr);
    let (inbound, outbound) = (direction(&mut root, "in", store), direction(&mut root, "out", store));
    root.finish();
    let keying = Keying { inbound: inbound?, outbound: outbound? };
    Some(NewKeys { tunnel: tunnel?.value, local: local?.value, keying })
}

fn direction(root: &mut Section<'_>, key: &str, store: &KeyStore) -> Option<KeySet> {
    let mut table = root.table(key)?;
    table.require("spi");
    let names = ["key", "encryption_key", "integrity_key"];
    if !names.iter().any(|name| KeyStore::is_named(&table, name)) {
        table.require("key");
    }
    let spi = scalar::spi(&mut table, "spi");
    let [aead, enc, auth] = names.map(|name| {
        let key: Option<Key> = store.read(&mut table, name);
        key.map(|key| key.secret)
    });
    table.finish();
    Some(KeySet { spi: spi?.value.number(), aead, enc, auth })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<NewKeys, String> {
        parse(text, Path::new("/nonexistent"), "new.toml").map_err(|errors| errors.to_string())
    }

    const KEY: &str = "5e13f8a70b9cd426813a6fd2e07549bc1db4087e";

    fn good() -> String {
        let way = |name, spi| format!("[{name}]\nspi = {spi}\nkey = \"{KEY}\"\n");
        format!("tunnel = \"b\"\nlocal = \"10.0.0.1\"\n{}{}", way("in", 300), way("out", 301))
    }

    #[test]
    fn a_complete_file_is_read() {
        let keys = read(&good()).unwrap();
        assert_eq!((keys.tunnel.as_str(), keys.keying.pair()), ("b", (300, 301)));
        assert_eq!(keys.keying.inbound.aead.map(|key| key.len()), Some(20));
    }

    #[test]
    fn what_is_wrong_is_named_without_a_key() {
        for (from, to, wanted) in [
            ("tunnel = \"b\"\n", "", "new.toml:1: tunnel: missing"),
            ("spi = 300", "spi = 3", "new.toml:4: in.spi: 0 to 255 are reserved"),
            (&format!("spi = 300\nkey = \"{KEY}\"\n"), "spi = 300\n", "in.key: missing"),
            ("[out]", "[outt]", "out: missing"),
            (KEY, "zz", "new.toml:5: in.key: must be hex digits"),
        ] {
            let error = read(&good().replacen(from, to, 1)).unwrap_err();
            assert!(error.contains(wanted) && !error.contains(KEY), "{wanted}: {error}");
        }
    }
}
