//! The configuration as its users see it: files in, errors, lints and kernel objects out.

mod errors;
mod examples;
mod interface;
mod key_files;
mod lints;
mod options;
mod secrecy;
mod unprotected;

use esp_agent::config::{self, Config, ConfigErrors};
use std::path::Path;

/// A valid file; cases change one piece of it.
const GOOD: &str = r#"interfaces = ["eth5"]
[metrics]
listen = "127.0.0.1:9754"
[guard]
unknown_spi = "enforce"
[mirror]
interval = "1s"
[maps]
sas = 1024
[[tunnel]]
name = "site-b"
mode = "tunnel"
local = "10.55.55.1"
remote = "10.66.66.1"
local_net = "192.168.1.0/24"
remote_net = "192.168.2.0/24"
encryption = "cbc(aes)"
integrity = "hmac(sha256)"
[tunnel.in]
spi = 0x1001
encryption_key = "1f9be207c45a6683d12e70bb1894f53c"
integrity_key = "a9d0431c58e7b2660f84c13d92fe075b6a1e38cdf749b0250e86d75aa31c9b42"
[tunnel.out]
spi = "0x1002"
encryption_key = "7c02e9d14b3fa6581590cb6edd8731f4"
integrity_key = "5e13f8a70b9cd426813a6fd2e07549bc1db4087ec36295fa3017e28d5bc64a90"
"#;

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    config::parse(text, Path::new("/nonexistent"), "site.toml")
}

fn good() -> Config {
    parse(GOOD).unwrap_or_else(|errors| panic!("the base file must be valid:\n{errors}"))
}

/// [`GOOD`] with one piece changed.
fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "nothing to change: {from}");
    GOOD.replacen(from, to, 1)
}
