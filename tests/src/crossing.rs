//! A router between two hosts.

use crate::{
    link::{End, mac, veth},
    netns::Netns,
    run,
};
use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The left host.
pub const LEFT: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// The router on its side.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
/// The router on the other side.
pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 1);
/// The right host.
pub const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);
/// Behind the right host.
pub const BEYOND: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
/// Where nothing routes to.
pub const NOWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// The same in IPv6.
pub const LEFT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2);
/// As above.
pub const NEAR6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);
/// As above.
pub const FAR6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 1);
/// As above.
pub const RIGHT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
/// MTU of the right side.
pub const MTU: u16 = 1_400;
/// The three of them.
#[derive(Debug)]
pub struct Crossing {
    /// Behind `left0`.
    pub left: Netns,
    /// Between `near0` and `far0`.
    pub router: Netns,
    /// Behind `right0`.
    pub right: Netns,
}

impl Crossing {
    /// Makes them, with addresses, routes and neighbours.
    ///
    /// # Errors
    /// Not root, or what `ip` says.
    pub fn new() -> Result<Self> {
        let all =
            Self { left: Netns::new("left")?, router: Netns::new("router")?, right: Netns::new("right")? };
        let v4 = |addr: Ipv4Addr| (IpAddr::V4(addr), 24);
        let v6 = |addr: Ipv6Addr| (IpAddr::V6(addr), 64);
        veth(
            End::new(&all.left, "left0", &[v4(LEFT), v6(LEFT6)]),
            End::new(&all.router, "near0", &[v4(NEAR), v6(NEAR6)]),
        )?;
        veth(
            End::new(&all.router, "far0", &[v4(FAR), v6(FAR6)]),
            End::new(&all.right, "right0", &[v4(RIGHT), v6(RIGHT6)]),
        )?;
        all.router.sysctl("net/ipv4/ip_forward", "1")?;
        all.router.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        all.router.ip(&format!("route add 10.9.0.0/16 via {RIGHT}"))?;
        all.router.ip(&format!("link set far0 mtu {MTU}"))?;
        let [a, b, c, d, e, f] = mac(RIGHT.into());
        for host in [IpAddr::from(RIGHT), RIGHT6.into()] {
            all.router.ip(&format!(
                "neigh replace {host} lladdr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} dev far0 nud permanent"
            ))?;
        }
        // A veth takes redirected frames where its other end has NAPI.
        for (netns, iface) in [(&all.right, "right0"), (&all.left, "left0")] {
            run::text(netns.command("ethtool").args(["-K", iface, "gro", "on"]))?;
        }
        Ok(all)
    }
}
