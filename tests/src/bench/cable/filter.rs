//! What else could drop ESP by its SPI: iptables and nftables. Each lets the SPIs of SAs pass and drops the rest of ESP.

use crate::{bench::path::FIRST_SPI, netns::Netns, run};
use anyhow::{Context as _, Result};
use std::{
    fmt::Write as _,
    io::{Seek as _, Write as _},
};

/// So many rules of iptables, in front of the stack (`raw`), by the interface that all kernels with it have.
///
/// # Errors
/// There is no iptables, or the kernel does not know its match.
pub(super) fn iptables(netns: &Netns, rules: u32) -> Result<()> {
    let mut text = String::from("*raw\n");
    for spi in (FIRST_SPI..).take(rules as usize) {
        writeln!(text, "-A PREROUTING -p esp -m esp --espspi {spi} -j ACCEPT")?;
    }
    text += "-A PREROUTING -p esp -j DROP\nCOMMIT\n";
    fed(netns, "iptables-legacy-restore", &[], &text)
}

/// What its last rule dropped.
///
/// # Errors
/// It does not say.
pub(super) fn dropped_by_iptables(netns: &Netns) -> Result<u64> {
    let text = run::text(netns.command("iptables-legacy").args([
        "-t",
        "raw",
        "-v",
        "-n",
        "-x",
        "-L",
        "PREROUTING",
    ]))?;
    let line = text.lines().find(|line| line.contains("DROP")).context("no rule that drops")?;
    line.split_whitespace().next().and_then(|word| word.parse().ok()).with_context(|| line.to_owned())
}

/// A set of so many SPIs at the interface's ingress, as fast as nftables can be asked; each counts, as ours do.
///
/// # Errors
/// There is no nft, or the kernel does not take it.
pub(super) fn nft(netns: &Netns, iface: &str, spis: u32) -> Result<()> {
    let list: Vec<_> = (FIRST_SPI..).take(spis as usize).map(|spi| format!("{spi:#x}")).collect();
    let text = format!(
        "table netdev bench {{
            counter dropped {{ }}
            set known {{ typeof esp spi; counter; elements = {{ {} }} }}
            chain ingress {{
                type filter hook ingress device \"{iface}\" priority 0; policy accept;
                esp spi @known accept
                meta l4proto esp counter name dropped drop
            }}
        }}",
        list.join(", ")
    );
    fed(netns, "nft", &["-f", "-"], &text)
}

/// What its last rule dropped.
///
/// # Errors
/// It does not say.
pub(super) fn dropped_by_nft(netns: &Netns) -> Result<u64> {
    let text = run::text(netns.command("nft").args(["list", "counter", "netdev", "bench", "dropped"]))?;
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1).and_then(|word| word.parse().ok()).with_context(|| text.clone())
}

/// Runs a program with `text` to read.
fn fed(netns: &Netns, program: &str, options: &[&str], text: &str) -> Result<()> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    run::text(netns.command(program).args(options).stdin(file)).map(drop)
}
