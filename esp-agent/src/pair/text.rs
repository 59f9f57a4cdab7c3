//! The texts of the files.

use super::{Way, Ways};
use crate::keys::fresh::hex;
use crate::keys::suite::Suite;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use zeroize::Zeroizing;

/// One of the two gateways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Left.
    Left,
    /// Right.
    Right,
}

/// What the two gateways agree on.
#[derive(Clone, Debug)]
pub struct Site {
    /// The tunnel.
    pub name: String,
    /// Algorithms.
    pub suite: Suite,
    /// Outer addresses, left first.
    pub ends: [IpAddr; 2],
    /// Networks behind the gateways, left first.
    pub nets: [Vec<String>; 2],
    /// Outside interfaces, left first.
    pub ifaces: [Option<String>; 2],
    /// ESP in UDP, port 4500.
    pub encap: bool,
}

/// Longer than any of these files: a text that grows would leave copies of keys behind.
const CAPACITY: usize = 8 * 1024;
/// RFC 4303 section 3.4.3 asks for 64 at least; a fast link reorders more than that.
const REPLAY_WINDOW: u32 = 1024;

impl Side {
    /// Ours first, then the other's.
    fn of<T>(self, [left, right]: [T; 2]) -> [T; 2] {
        match self {
            Self::Left => [left, right],
            Self::Right => [right, left],
        }
    }
}

/// The configuration of one gateway.
#[must_use]
pub fn gateway(site: &Site, ways: &Ways, side: Side) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(CAPACITY));
    // A string takes whatever is written to it.
    write_gateway(&mut text, site, ways, side).unwrap_or_default();
    text
}

fn write_gateway(text: &mut String, site: &Site, ways: &Ways, side: Side) -> fmt::Result {
    let [local, remote] = side.of(site.ends);
    let [local_nets, remote_nets] = side.of([&site.nets[0], &site.nets[1]]);
    let [iface, _] = side.of([&site.ifaces[0], &site.ifaces[1]]);
    writeln!(text, "# The gateway {local}. It holds keys: mode 600, and no copy but the one in use.\n")?;
    if let Some(iface) = iface {
        writeln!(text, "interfaces = [{}]\n", quoted(iface))?;
    }
    writeln!(text, "[guard] # off | observe | enforce")?;
    for guard in ["unknown_spi", "cleartext_in", "cleartext_out", "selectors"] {
        writeln!(text, "{guard} = \"observe\"")?;
    }
    writeln!(
        text,
        "\n[[tunnel]]\nname = {}\nlocal = \"{local}\"\nremote = \"{remote}\"",
        quoted(&site.name)
    )?;
    writeln!(text, "local_net = {}\nremote_net = {}", list(local_nets), list(remote_nets))?;
    write!(text, "{}", site.suite.lines())?;
    writeln!(text, "esn = true\nreplay_window = {REPLAY_WINDOW}")?;
    if site.encap {
        writeln!(text, "encap = {{ local_port = 4500, remote_port = 4500 }}")?;
    }
    let [inbound, outbound] = side.of([&ways.to_left, &ways.to_right]);
    write_way(text, "tunnel.in", site.suite, inbound)?;
    write_way(text, "tunnel.out", site.suite, outbound)
}

/// New SPIs and keys of a tunnel for one gateway, as `rotate` takes them.
#[must_use]
pub fn rotation(tunnel: &str, ends: [IpAddr; 2], suite: Suite, ways: &Ways, side: Side) -> Zeroizing<String> {
    let [local, _] = side.of(ends);
    let [inbound, outbound] = side.of([&ways.to_left, &ways.to_right]);
    let mut text = Zeroizing::new(String::with_capacity(CAPACITY));
    let written =
        writeln!(text, "# New keys for the gateway {local}: esp-agent rotate {tunnel} --keys FILE\n")
            .and_then(|()| writeln!(text, "tunnel = {}\nlocal = \"{local}\"", quoted(tunnel)))
            .and_then(|()| write_way(&mut text, "in", suite, inbound))
            .and_then(|()| write_way(&mut text, "out", suite, outbound));
    // A string takes whatever is written to it.
    written.unwrap_or_default();
    text
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(nets: &[String]) -> String {
    let nets: Vec<String> = nets.iter().map(|net| quoted(net)).collect();
    format!("[{}]", nets.join(", "))
}

fn write_way(text: &mut String, table: &str, suite: Suite, way: &Way) -> fmt::Result {
    writeln!(text, "\n[{table}]\nspi = {}", way.spi)?;
    for (slot, key) in suite.slots().iter().zip(&way.keys) {
        writeln!(text, "{} = \"{}\"", slot.name, *hex(key))?;
    }
    Ok(())
}
