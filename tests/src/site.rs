//! A gateway and the host at the other end of its outside cable, silent but for what a test sends.
//!
//! Silence is what makes counts exact: no IPv6 on the cable (router solicitation, MLD), neighbours fixed (ARP), and
//! ESP from addresses that the gateway has no route to, so that it cannot answer.

use crate::{
    agent::{Binary, Launch, PATIENCE},
    frame::{Frame, Ipv4, Ipv6, Payload},
    link::{End, mac, veth},
    netns::Netns,
    wait,
    wire::Wire,
};
use anyhow::{Context, Result, ensure};
use esp_agent::{
    datapath::{maps::Maps, pins::Pins},
    instance::Instance,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The gateway's outside interface.
pub const OUTSIDE: &str = "eth5";
/// The other end of its cable.
pub const FAR_END: &str = "eth6";
/// The gateway's outside address.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 1);
/// The far end's address.
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 55, 55, 55);
/// An IPv6 address of the gateway, on its loopback.
pub const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x55, 0, 0, 0, 0, 0, 1);
/// Where nothing routes to.
pub const NOWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// The same for IPv6.
pub const NOWHERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

/// The two hosts.
#[derive(Debug)]
pub struct Site {
    /// Where the agent runs.
    pub gateway: Netns,
    /// Where the frames come from.
    pub peer: Netns,
}

impl Site {
    /// Makes both and plugs the cable in.
    ///
    /// # Errors
    /// Not root, or what `ip` says.
    pub fn new() -> Result<Self> {
        let site = Self { gateway: Netns::new("gateway")?, peer: Netns::new("peer")? };
        for netns in [&site.gateway, &site.peer] {
            netns.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
            netns.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
            netns.sysctl("net/ipv4/conf/default/rp_filter", "0")?;
        }
        // An SPI that is only allocated lives as long as this: longer than any test.
        site.gateway.sysctl("net/core/xfrm_acq_expires", "3600")?;
        site.gateway.ip(&format!("address add {GATEWAY6}/128 dev lo nodad"))?;
        site.plug()?;
        Ok(site)
    }

    /// Makes the cable, as at the start or after its interface was deleted.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn plug(&self) -> Result<()> {
        let (ours, theirs) = ([(IpAddr::V4(GATEWAY), 24)], [(IpAddr::V4(PEER), 24)]);
        veth(
            End { netns: &self.gateway, iface: OUTSIDE, addrs: &ours },
            End { netns: &self.peer, iface: FAR_END, addrs: &theirs },
        )?;
        for (netns, iface, other) in [(&self.gateway, OUTSIDE, PEER), (&self.peer, FAR_END, GATEWAY)] {
            let [a, b, c, d, e, f] = mac(other.into());
            netns.ip(&format!(
                "neigh replace {other} lladdr {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x} dev {iface} nud permanent"
            ))?;
            carrier(netns, iface)?;
        }
        Ok(())
    }

    /// `esp-agent run --iface eth5` on the gateway, more to be said.
    ///
    /// # Errors
    /// No agent was built.
    pub fn agent(&self) -> Result<Launch> {
        Ok(Binary::find()?.launch(&self.gateway).iface(OUTSIDE))
    }

    /// The far end of the cable.
    ///
    /// # Errors
    /// It is not plugged in.
    pub fn far(&self) -> Result<Wire> {
        Wire::open(&self.peer, FAR_END)
    }

    /// The gateway's end of the cable: what is sent here leaves past its stack.
    ///
    /// # Errors
    /// It is not plugged in.
    pub fn near(&self) -> Result<Wire> {
        Wire::open(&self.gateway, OUTSIDE)
    }

    /// Where the agent on the gateway lives.
    ///
    /// # Errors
    /// The namespace cannot be told.
    pub fn instance(&self) -> Result<Instance> {
        self.gateway.run_in(|| Ok(Instance::detect(None)?))
    }

    /// The pinned maps of the agent on the gateway.
    ///
    /// # Errors
    /// It was never set up.
    pub fn maps(&self) -> Result<Maps> {
        let pins = Pins::new(self.instance()?.pin_dir);
        self.gateway.run_in(|| Ok(Maps::open(&pins)?))
    }

    /// Makes an SA without keys, as an IKE daemon does at the start of an exchange; any kernel with XFRM can.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn allocate(&self, src: IpAddr, dst: IpAddr, spi: u32) -> Result<()> {
        let ends = format!("src {src} dst {dst} proto esp reqid 5 mode tunnel");
        self.gateway.ip(&format!("xfrm state allocspi {ends} min {spi:#x} max {spi:#x}")).map(drop)
    }
}

/// Waits until the kernel has noticed that the other end is up: before, it drops what is sent (`linkwatch_do_dev`
/// activates the queue).
fn carrier(netns: &Netns, iface: &str) -> Result<()> {
    wait::until_ok(PATIENCE, &format!("the carrier of {iface}"), || {
        let state = netns.run_in(|| {
            let path = format!("/sys/class/net/{iface}/operstate");
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
        })?;
        ensure!(state.trim() == "up", "it is {state}");
        Ok(())
    })
}

/// A frame to the gateway from where it cannot answer.
#[must_use]
pub fn inbound(payload: &Payload) -> Frame {
    Frame::v4(&Ipv4::new(NOWHERE, GATEWAY), payload).macs(mac(PEER.into()), mac(GATEWAY.into()))
}

/// The same over IPv6.
#[must_use]
pub fn inbound6(payload: &Payload) -> Frame {
    Frame::v6(&Ipv6::new(NOWHERE6, GATEWAY6), payload).macs(mac(PEER.into()), mac(GATEWAY.into()))
}

/// A frame from the gateway.
#[must_use]
pub fn outbound(payload: &Payload) -> Frame {
    Frame::v4(&Ipv4::new(GATEWAY, NOWHERE), payload).macs(mac(GATEWAY.into()), mac(PEER.into()))
}
