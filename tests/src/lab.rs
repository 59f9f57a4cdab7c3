//! The reference lab: two sites, each a gateway and a client, and a router between them that sees only the outside.
//!
//! ```text
//! client-a eth1 --- eth1 server-a eth5 --- eth5 router eth6 --- eth6 server-b eth2 --- eth2 client-b
//!   192.168.1.2       .1  10.55.55.1     .55.55  .66.66   10.66.66.1     .1        192.168.2.2
//!      fd00:1::2     ::1   fd00:55::1      ::55    ::66    fd00:66::1    ::1        fd00:2::2
//! ```
//!
//! Both families are always there, outside and inside; a test chooses which it uses.

mod gateway;
mod line;
mod manual;
mod ping;
mod stat;
mod stream;
mod tap;
mod tunnel;

pub use gateway::{Gateway, counted};
pub use line::Line;
pub use manual::{Suite, batch, protect};
pub use ping::{Fit, Ping, ping, ping_whole};
pub use stat::{STALE_ROUTE, moved, take_out, xfrm_objects, xfrm_stat, xfrm_stat_here};
pub use stream::{Stream, missing};
pub use tap::Tap;
pub use tunnel::{Mode, Side, Tunnel};

use crate::{
    capture::Capture,
    link::{End, veth},
    netns::Netns,
};
use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All guards in enforce, for the head of a configuration.
pub const ENFORCE: &str = "[guard]\nunknown_spi = \"enforce\"\ncleartext_in = \"enforce\"\n\
                           cleartext_out = \"enforce\"\nselectors = \"enforce\"\n";

/// The SPI of both directions: the lab's own weak habit.
pub const SPI: u32 = 0x6942_7567;

/// The family of the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outer {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Outer {
    /// The outside address of server-a.
    #[must_use]
    pub const fn server_a(self) -> IpAddr {
        match self {
            Self::V4 => v4(10, 55, 55, 1),
            Self::V6 => v6(0x55, 1),
        }
    }

    /// The outside address of server-b.
    #[must_use]
    pub const fn server_b(self) -> IpAddr {
        match self {
            Self::V4 => v4(10, 66, 66, 1),
            Self::V6 => v6(0x66, 1),
        }
    }
}

/// The networks behind server-a.
pub const NET_A: [&str; 2] = ["192.168.1.0/24", "fd00:1::/64"];
/// The networks behind server-b.
pub const NET_B: [&str; 2] = ["192.168.2.0/24", "fd00:2::/64"];
/// The addresses of client-a, IPv4 and IPv6.
pub const CLIENT_A: [IpAddr; 2] = [v4(192, 168, 1, 2), v6(1, 2)];
/// The addresses of client-b, IPv4 and IPv6.
pub const CLIENT_B: [IpAddr; 2] = [v4(192, 168, 2, 2), v6(2, 2)];

/// The five hosts. They go when this goes.
#[derive(Debug)]
pub struct Lab {
    /// Forwards between the sites; has no route to the networks behind them but in the clear phase.
    pub router: Netns,
    /// Gateway: eth1 inside, eth5 outside.
    pub server_a: Netns,
    /// Gateway: eth2 inside, eth6 outside.
    pub server_b: Netns,
    /// Host behind server-a.
    pub client_a: Netns,
    /// Host behind server-b.
    pub client_b: Netns,
}

impl Lab {
    /// Builds it, without any protection and without the routes of the clear phase.
    ///
    /// # Errors
    /// Without root, or what `ip` says.
    pub fn new() -> Result<Self> {
        let lab = Self {
            router: Netns::new("router")?,
            server_a: Netns::new("server-a")?,
            server_b: Netns::new("server-b")?,
            client_a: Netns::new("client-a")?,
            client_b: Netns::new("client-b")?,
        };
        for netns in [&lab.router, &lab.server_a, &lab.server_b] {
            forward(netns)?;
        }
        lab.cable()?;
        lab.route()?;
        Ok(lab)
    }

    /// Gives the router its routes to the networks behind the gateways.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn start_clear_phase(&self) -> Result<()> {
        self.clear_routes("add")
    }

    /// Takes the router's routes to the networks behind the gateways away: clear text can no longer pass.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn end_clear_phase(&self) -> Result<()> {
        self.clear_routes("del")
    }

    /// A capture of each packet that enters the router.
    ///
    /// # Errors
    /// When the interfaces are gone.
    pub fn watch_router(&self) -> Result<Capture> {
        Capture::start(&self.router, &["eth5", "eth6"])
    }

    fn cable(&self) -> Result<()> {
        veth(
            End::new(&self.router, "eth5", &[(v4(10, 55, 55, 55), 24), (v6(0x55, 0x55), 64)]),
            End::new(&self.server_a, "eth5", &[(v4(10, 55, 55, 1), 24), (v6(0x55, 1), 64)]),
        )?;
        veth(
            End::new(&self.router, "eth6", &[(v4(10, 66, 66, 66), 24), (v6(0x66, 0x66), 64)]),
            End::new(&self.server_b, "eth6", &[(v4(10, 66, 66, 1), 24), (v6(0x66, 1), 64)]),
        )?;
        veth(
            End::new(&self.server_a, "eth1", &[(v4(192, 168, 1, 1), 24), (v6(1, 1), 64)]),
            End::new(&self.client_a, "eth1", &[(CLIENT_A[0], 24), (CLIENT_A[1], 64)]),
        )?;
        veth(
            End::new(&self.server_b, "eth2", &[(v4(192, 168, 2, 1), 24), (v6(2, 1), 64)]),
            End::new(&self.client_b, "eth2", &[(CLIENT_B[0], 24), (CLIENT_B[1], 64)]),
        )
    }

    fn route(&self) -> Result<()> {
        for (netns, gateways) in [
            (&self.server_a, [v4(10, 55, 55, 55), v6(0x55, 0x55)]),
            (&self.server_b, [v4(10, 66, 66, 66), v6(0x66, 0x66)]),
            (&self.client_a, [v4(192, 168, 1, 1), v6(1, 1)]),
            (&self.client_b, [v4(192, 168, 2, 1), v6(2, 1)]),
        ] {
            for gateway in gateways {
                netns.ip(&format!("route add default via {gateway}"))?;
            }
        }
        Ok(())
    }

    fn clear_routes(&self, verb: &str) -> Result<()> {
        for (at, outer) in [Outer::V4, Outer::V6].into_iter().enumerate() {
            self.router.ip(&format!("route {verb} {} via {}", NET_A[at], outer.server_a()))?;
            self.router.ip(&format!("route {verb} {} via {}", NET_B[at], outer.server_b()))?;
        }
        Ok(())
    }
}

fn forward(netns: &Netns) -> Result<()> {
    netns.sysctl("net.ipv4.ip_forward", "1")?;
    netns.sysctl("net.ipv6.conf.all.forwarding", "1")?;
    // A new namespace may inherit strict filtering from the machine; then decrypted packets have no way back.
    netns.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
    netns.sysctl("net.ipv4.conf.default.rp_filter", "0")
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// `fd00:NET::HOST`.
const fn v6(net: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host))
}
