//! One cable with one means at its receiving end, for as long as it is measured.

use super::{judge::Judge, means::Means, napi::Napi};
use crate::{
    bench::{
        cpu,
        flood::Flood,
        path::{self, LOCAL_V4},
        vary::Spis,
    },
    link::{End, mac, veth},
    netns::Netns,
    run,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

/// The sender's address and end.
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 66, 66, 2);
const SENDING: &str = "tx0";

/// The cable.
pub(super) struct Lane {
    sender: Netns,
    receiver: Netns,
    iface: String,
    cpu: usize,
    napi: Napi,
    judge: Judge,
}

/// What one run of a flood showed.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// CPU time of the receiver for one packet, in ns.
    pub(super) cpu_ns: f64,
    /// Packets for each second of a CPU that does nothing but send and receive them.
    pub(super) pps: f64,
    /// Packets that arrived.
    pub(super) packets: u64,
}

impl Lane {
    /// Makes it. The receiver has one address, ESP comes from where it has a route to.
    ///
    /// # Errors
    /// Not root; the means is not to be had here.
    pub(super) fn new(means: Means, cpu: usize) -> Result<Self> {
        let (receiver, sender) = (Netns::new("receiver")?, Netns::new("sender")?);
        for netns in [&receiver, &sender] {
            netns.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
            netns.sysctl("net/ipv4/conf/all/rp_filter", "0")?;
            netns.sysctl("net/ipv4/conf/default/rp_filter", "0")?;
        }
        let iface = unique();
        veth(
            End::new(&receiver, &iface, &[(LOCAL_V4.into(), 24)]),
            End::new(&sender, SENDING, &[(SENDER.into(), 24)]),
        )?;
        receiver.ip(&format!("route add default via {SENDER}"))?;
        // By NAPI, as a NIC does, also where there is no XDP.
        run::text(receiver.command("ethtool").args(["-K", &iface, "gro", "on"]))?;
        let judge = Judge::put(means, &receiver, &iface)?;
        let napi = Napi::of(&receiver, &iface, cpu)?;
        Ok(Self { sender, receiver, iface, cpu, napi, judge })
    }

    /// A sender of such SPIs into it.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn flood(&self, spis: Spis) -> Result<Flood> {
        let frame = path::esp_to(mac(SENDER.into()), mac(LOCAL_V4.into()));
        Flood::new(&self.sender, SENDING, spis, path::SPI_V4, frame)
    }

    /// Sends so many packets and waits until they are received, which is when the sender may go on: the receiver goes before it.
    ///
    /// # Errors
    /// The kernel's; nothing arrives.
    pub(super) fn run(&self, flood: &Flood, packets: u32) -> Result<Seen> {
        let before = (self.received()?, self.napi.cpu_ns()?);
        let ns = self.sender.run_in(|| {
            cpu::pin(Some(self.cpu))?;
            flood.send(packets)
        })?;
        let (arrived, cpu_ns) = (self.received()? - before.0, self.napi.cpu_ns()? - before.1);
        ensure!(arrived > 0, "of {packets} packets none arrived");
        let sent_ns = ns * f64::from(packets);
        let pps = arrived as f64 * 1e9 / (sent_ns + cpu_ns as f64);
        Ok(Seen { cpu_ns: cpu_ns as f64 / arrived as f64, pps, packets: arrived })
    }

    /// How many it dropped for their SPI, where it can tell.
    ///
    /// # Errors
    /// It does not tell although it can.
    pub(super) fn dropped(&self) -> Result<Option<u64>> {
        self.judge.dropped(&self.receiver)
    }

    /// Packets out of the ring so far.
    fn received(&self) -> Result<u64> {
        let path = format!("/sys/class/net/{}/statistics/rx_packets", self.iface);
        let text = self
            .receiver
            .run_in(|| std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}")))?;
        Ok(text.trim().parse()?)
    }
}

/// A name that no other interface of this machine has: by it the thread that receives is found.
fn unique() -> String {
    static LANES: AtomicU32 = AtomicU32::new(0);
    // Of a thread's name fifteen bytes are kept: five in front of this, and the dash behind it.
    let lane = LANES.fetch_add(1, Ordering::Relaxed) % 256;
    format!("{lane:02x}{:x}", std::process::id())
}
