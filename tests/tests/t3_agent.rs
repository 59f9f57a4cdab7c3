//! The agent without a configuration, on a wire with ESP that nobody here has an SA for.

use anyhow::{Context, Result};
use esp_tests::{
    agent::Binary,
    attached,
    frame::{Frame, Ipv4, Payload},
    link::{End, mac, veth},
    netns::Netns,
    pcap,
    wire::Wire,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SPI: [(&str, &str); 2] = [("direction", "in"), ("spi", "0x00001000")];

/// A gateway with eth5, and the wire that leads to it.
fn gateway() -> Result<(Netns, Wire)> {
    let (gateway, outside) = (Netns::new("gateway")?, Netns::new("outside")?);
    let addrs = [HERE, THERE].map(|addr| [(IpAddr::V4(addr), 24)]);
    veth(End::new(&gateway, "eth5", &addrs[0]), End::new(&outside, "eth0", &addrs[1]))?;
    let wire = Wire::open(&outside, "eth0")?;
    Ok((gateway, wire))
}

fn esp(seq: u32) -> Vec<u8> {
    let frame = Frame::v4(&Ipv4::new(THERE, HERE), &Payload::esp(0x1000, seq, 64));
    frame.macs(mac(THERE.into()), mac(HERE.into())).build()
}

#[test]
#[ignore = "T3: root, namespaces"]
fn counts_go_on_across_sigkill_and_detach_leaves_nothing() -> Result<()> {
    let (gateway, wire) = gateway()?;
    let binary = Binary::find()?;
    let mut agent = binary.launch(&gateway).iface("eth5").start()?;
    assert_eq!(attached::programs(&gateway, "eth5")?.len(), 3);
    wire.send(&esp(1))?;
    agent.wait_metric("esp_spi_packets_total", &SPI, 1)?;

    agent.kill()?;
    wire.send(&esp(2))?;
    let mut agent = binary.launch(&gateway).iface("eth5").start()?;
    assert_eq!(agent.wait_metric("esp_spi_packets_total", &SPI, 2)?, 2);
    assert_eq!(agent.stop()?, 0, "{}", agent.log());

    let detach = agent.beside(&["detach"])?;
    assert!(detach.status.success(), "{detach:?}");
    assert_eq!(attached::programs(&gateway, "eth5")?, Vec::<String>::new());
    assert_eq!(attached::pins(&gateway)?, Vec::<std::path::PathBuf>::new());
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_replayed_capture_is_counted_to_the_packet() -> Result<()> {
    let (gateway, wire) = gateway()?;
    let agent = Binary::find()?.launch(&gateway).iface("eth5").start()?;
    for (name, frames) in [("02-sunrise-sunset-esp.pcap", 8), ("espudp1.pcap", 16)] {
        for frame in pcap::capture(name)? {
            wire.send(&frame)?;
        }
        let labels = [("spi", "0x12345678"), ("dst", "192.1.2.45"), ("direction", "in"), ("known", "false")];
        assert_eq!(agent.wait_metric("esp_spi_packets_total", &labels, frames)?, frames, "{name}");
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_missing_interface_is_said_and_nothing_stays() -> Result<()> {
    let gateway = Netns::new("gateway")?;
    let mut agent = Binary::find()?.launch(&gateway).iface("eth5").spawn()?;
    let code = agent.wait_exit(Duration::from_secs(20))?;
    assert_ne!(code, 0);
    let log = agent.log();
    let last = log.lines().last().context("it said nothing")?;
    assert!(last.contains("eth5"), "{log}");
    assert_eq!(attached::pins(&gateway)?, Vec::<std::path::PathBuf>::new());
    Ok(())
}
