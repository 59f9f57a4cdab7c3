//! Virtual Ethernet between two namespaces.

use crate::netns::Netns;
use anyhow::Result;
use std::net::IpAddr;

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Where it is.
    pub netns: &'a Netns,
    /// The interface's name.
    pub iface: &'a str,
    /// Addresses with their prefix length; the MAC address is made from the first.
    pub addrs: &'a [(IpAddr, u8)],
}

impl<'a> End<'a> {
    /// The end called `iface` in `netns`.
    #[must_use]
    pub const fn new(netns: &'a Netns, iface: &'a str, addrs: &'a [(IpAddr, u8)]) -> Self {
        Self { netns, iface, addrs }
    }
}

/// Joins two namespaces by a veth pair; both ends are up and addressed when this returns.
///
/// # Errors
/// What `ip` says.
pub fn veth(a: End<'_>, b: End<'_>) -> Result<()> {
    let (there, mac_a, mac_b) = (b.netns.path(), mac_text(a), mac_text(b));
    let (name_a, name_b) = (a.iface, b.iface);
    a.netns.ip(&format!(
        "link add {name_a} address {mac_a} type veth peer name {name_b} address {mac_b} netns {}",
        there.display()
    ))?;
    for end in [a, b] {
        // Duplicate address detection would hold IPv6 addresses back for a second.
        end.netns.sysctl(&format!("net/ipv6/conf/{}/accept_dad", end.iface), "0")?;
        for (addr, len) in end.addrs {
            end.netns.ip(&format!("address add {addr}/{len} dev {}", end.iface))?;
        }
        end.netns.ip(&format!("link set {} up", end.iface))?;
    }
    Ok(())
}

/// The MAC address that [`veth`] gives to the end with this first address: locally administered, and of the last
/// four bytes of the address.
#[must_use]
pub fn mac(addr: IpAddr) -> [u8; 6] {
    let (family, last) = match addr {
        IpAddr::V4(v4) => (4, v4.octets()),
        IpAddr::V6(v6) => (6, v6.to_bits().to_be_bytes().last_chunk().copied().unwrap_or_default()),
    };
    let [a, b, c, d] = last;
    [0x02, family, a, b, c, d]
}

fn mac_text(end: End<'_>) -> String {
    let unaddressed = IpAddr::V6(std::net::Ipv6Addr::from_bits(end.iface.bytes().map(u128::from).sum()));
    let [a, b, c, d, e, f] = mac(end.addrs.first().map_or(unaddressed, |(addr, _)| *addr));
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
