//! Real frames through a veth pair: each is counted once at each hook, to the byte, the same in every attach mode.

use anyhow::{Result, ensure};
use esp_tests::{
    agent::{Agent, PATIENCE},
    capture::Kind,
    corpus,
    frame::{Ext, Frame, Ipv4, Ipv6, Payload},
    link::mac,
    pcap,
    promtext::Scrape,
    site::{GATEWAY, GATEWAY6, NOWHERE, NOWHERE6, OUTSIDE, PEER, Site, inbound, inbound6, outbound},
    tally::{Count, Tally, flows, note, reasons, total},
    wait,
    world::SPI,
};
use std::net::{IpAddr, Ipv4Addr};

const KNOWN: u32 = 0x1000;
const KNOWN6: u32 = 0x1001;
const UNKNOWN: u32 = 0xdead_0001;
/// Behind the gateway, or behind someone else's.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const MODES: [&str; 3] = ["native", "generic", "tc"];

/// A frame from the wire and what becomes of it.
struct Row {
    name: &'static str,
    frame: Frame,
    /// The reason where the outer packet is judged: XDP, or TC ingress without it.
    outer: &'static str,
    /// The reason at TC ingress behind XDP.
    judged: &'static str,
    /// The flow that it adds to: SPI, destination, known.
    flow: Option<(u32, IpAddr, bool)>,
}

fn rows() -> Vec<Row> {
    let here = IpAddr::V4(GATEWAY);
    let plain = |name, frame, reason| Row { name, frame, outer: reason, judged: reason, flow: None };
    let esp = |name, frame, outer, spi, dst, known| Row {
        name,
        frame,
        outer,
        judged: "esp_judged",
        flow: Some((spi, dst, known)),
    };
    let known = |name, frame| esp(name, frame, "esp_known", KNOWN, here, true);
    let v4 = Ipv4::new(NOWHERE, GATEWAY);
    let v6 = Ipv6::new(NOWHERE6, GATEWAY6).ext(Ext::HopByHop(0)).ext(Ext::DestOpts(1));
    let framed =
        |header: &Ipv4, payload: &Payload| Frame::v4(header, payload).macs(mac(PEER.into()), mac(here));
    let transit = framed(&Ipv4::new(NOWHERE, ELSEWHERE), &Payload::esp(UNKNOWN, 1, 100));
    let options = framed(&Ipv4::new(NOWHERE, GATEWAY).options(8), &Payload::esp(KNOWN, 2, 72));
    let extended = Frame::v6(&v6, &Payload::esp(KNOWN6, 2, 80)).macs(mac(PEER.into()), mac(here));
    vec![
        known("ESP of an SA", inbound(&Payload::esp(KNOWN, 1, 64))),
        known("behind IPv4 options", options),
        known("behind a VLAN tag", inbound(&Payload::esp(KNOWN, 3, 64)).vlan(7)),
        known("behind two VLAN tags", inbound(&Payload::esp(KNOWN, 4, 64)).qinq(8, 9)),
        known("in UDP", inbound(&Payload::natt_esp(KNOWN, 5, 90))),
        known("the shortest ESP", inbound(&Payload::esp(KNOWN, 6, 0))),
        known("with padding", inbound(&Payload::esp(KNOWN, 7, 1)).pad(17)),
        esp("IPv6", inbound6(&Payload::esp(KNOWN6, 1, 33)), "esp_known", KNOWN6, GATEWAY6.into(), true),
        esp("behind extension headers", extended, "esp_known", KNOWN6, GATEWAY6.into(), true),
        esp("no SA", inbound(&Payload::esp(UNKNOWN, 1, 50)), "unknown_spi", UNKNOWN, here, false),
        esp("no SA, UDP", inbound(&Payload::natt_esp(UNKNOWN, 2, 51)), "unknown_spi", UNKNOWN, here, false),
        esp("SA of another address", transit, "esp_foreign", UNKNOWN, ELSEWHERE.into(), false),
        esp("SPI 0", inbound(&Payload::esp(0, 1, 40)), "spi_zero", 0, here, false),
        esp("SPI 255", inbound(&Payload::esp(255, 1, 40)), "spi_reserved", 255, here, false),
        plain("IKE", inbound(&Payload::udp(500, 500, vec![1; 28])), "ike"),
        plain("IKE on 4500", inbound(&Payload::natt_ike(28)), "ike"),
        plain("keepalive", inbound(&Payload::natt_keepalive()), "nat_keepalive"),
        plain("half an SPI", inbound(&Payload::natt_short(3)), "truncated"),
        plain("half a header", inbound(&Payload::raw(50, vec![0, 0, 0x10, 0])), "truncated"),
        plain(
            "later fragment",
            framed(&v4.clone().fragment(10, false), &Payload::esp(KNOWN, 1, 8)),
            "fragment",
        ),
        plain("IHL of 4", framed(&v4.ihl(4), &Payload::esp(KNOWN, 1, 8)), "malformed"),
        plain("TCP", inbound(&Payload::tcp(1025, 443, 60)), "not_esp"),
        plain("LLDP", Frame::raw(0x88cc, vec![2; 46]).macs(mac(PEER.into()), mac(here)), "not_ip"),
    ]
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn frames_from_the_wire_are_counted_once_and_the_same_in_every_mode() -> Result<()> {
    let rows = rows();
    let (mut outer, mut judged, mut seen) = (Tally::new(), Tally::new(), Tally::new());
    for row in &rows {
        let frame = row.frame.build();
        note(&mut outer, [row.outer, "pass"], &frame);
        note(&mut judged, [row.judged, "pass"], &frame);
        if let Some((spi, dst, known)) = row.flow {
            let [spi, dst, known] = [format!("0x{spi:08x}"), dst.to_string(), known.to_string()];
            note(&mut seen, ["in", &spi, &dst, &known], &frame);
        }
    }
    for mode in MODES {
        let site = Site::new()?;
        site.allocate(NOWHERE.into(), GATEWAY.into(), KNOWN)?;
        site.allocate(NOWHERE6.into(), GATEWAY6.into(), KNOWN6)?;
        let agent = site.agent()?.arg("--attach").arg(mode).start()?;
        let far = site.far()?;
        for row in &rows {
            far.send(&row.frame.build()).map_err(|error| error.context(row.name))?;
        }
        let scrape = settled(&agent, "tc_ingress", rows.len())?;
        if mode == "tc" {
            // TC cannot ask the kernel whether an SPI that is seen for the first time has an SA by now.
            let mut outer = outer.clone();
            if let Some(count) = outer.remove(&["unknown_spi", "pass"].map(str::to_owned)) {
                outer.insert(["unknown_unsynced", "pass"].map(str::to_owned), count);
            }
            assert_eq!(reasons(&scrape, OUTSIDE, "tc_ingress"), outer, "{mode}");
            assert_eq!(reasons(&scrape, OUTSIDE, "xdp"), Tally::new(), "{mode}");
        } else {
            assert_eq!(reasons(&scrape, OUTSIDE, "xdp"), outer, "{mode}");
            assert_eq!(reasons(&scrape, OUTSIDE, "tc_ingress"), judged, "{mode}");
        }
        assert_eq!(reasons(&scrape, OUTSIDE, "tc_egress"), Tally::new(), "{mode}: the gateway has answered");
        assert_eq!(flows(&scrape, OUTSIDE), seen, "{mode}");
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn frames_on_their_way_out_are_counted_once() -> Result<()> {
    let site = Site::new()?;
    site.allocate(GATEWAY.into(), NOWHERE.into(), KNOWN)?;
    let agent = site.agent()?.start()?;
    let (near, far) = (site.near()?, site.far()?);
    let out = |spi: u32, known: bool| {
        Some(["out".into(), format!("0x{spi:08x}"), NOWHERE.to_string(), known.to_string()])
    };
    let rows: [(Payload, &str, Option<[String; 4]>); 6] = [
        (Payload::esp(KNOWN, 1, 64), "esp_known", out(KNOWN, true)),
        (Payload::natt_esp(KNOWN, 2, 65), "esp_known", out(KNOWN, true)),
        (Payload::esp(UNKNOWN, 1, 70), "esp_foreign", out(UNKNOWN, false)),
        (Payload::natt_ike(40), "ike", None),
        (Payload::natt_keepalive(), "nat_keepalive", None),
        (Payload::icmp_echo(1, 1, 56), "not_esp", None),
    ];
    let (mut expected, mut seen) = (Tally::new(), Tally::new());
    for (payload, reason, flow) in &rows {
        for frame in [outbound(payload), outbound(payload).vlan(3)] {
            let frame = frame.build();
            near.send(&frame)?;
            note(&mut expected, [reason, "pass"], &frame);
            if let Some(flow) = flow {
                note(&mut seen, flow.each_ref().map(String::as_str), &frame);
            }
            ensure!(far.receive(PATIENCE, |other| other == frame)?.is_some(), "{reason}: it did not leave");
        }
    }
    let scrape = settled(&agent, "tc_egress", 2 * rows.len())?;
    assert_eq!(reasons(&scrape, OUTSIDE, "tc_egress"), expected);
    assert_eq!(flows(&scrape, OUTSIDE), seen);
    Ok(())
}

/// Nothing in them is for the gateway: on a transit router all SPIs are unknown, and counted.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn captures_of_real_traffic_are_counted_by_spi_to_the_byte() -> Result<()> {
    for mode in ["native", "tc"] {
        let site = Site::new()?;
        let agent = site.agent()?.arg("--attach").arg(mode).start()?;
        let far = site.far()?;
        let (mut seen, mut sent) = (Tally::new(), Count::default());
        for name in ["02-sunrise-sunset-esp.pcap", "espudp1.pcap", "isakmp4500.pcap"] {
            for frame in pcap::capture(name)? {
                far.send(&frame)?;
                sent = sent + Count::of(&frame);
                if let Kind::Esp(dst, spi) | Kind::NattEsp(dst, spi) = Kind::of(&frame) {
                    let (spi, dst) = (format!("0x{spi:08x}"), dst.to_string());
                    note(&mut seen, ["in", &spi, &dst, "false"], &frame);
                }
            }
        }
        let hook = if mode == "tc" { "tc_ingress" } else { "xdp" };
        let scrape = settled(&agent, hook, usize::try_from(sent.0)?)?;
        assert_eq!(total(&scrape, OUTSIDE, hook), sent, "{mode}");
        assert_eq!(flows(&scrape, OUTSIDE), seen, "{mode}");
        // As the README of the captures has it.
        let sunrise = ["in", "0x12345678", "192.1.2.45", "false"].map(str::to_owned);
        assert_eq!(seen.get(&sunrise).map(|count| count.0), Some(16), "{mode}: 8 in ESP, 8 in UDP");
    }
    Ok(())
}

/// An SPI that is new to an agent passes as one whose SA may still come, but where the kernel can be asked for it: at XDP. Both
/// are one here.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn what_a_fuzzer_found_ends_alike_in_every_mode() -> Result<()> {
    let frames: Vec<_> = corpus::read()?.into_iter().filter(|frame| comes_through(frame)).collect();
    ensure!(frames.len() > 80, "only {} frames", frames.len());
    let mut first: Option<Tally<2>> = None;
    for mode in MODES {
        let site = Site::new()?;
        site.allocate(PEER.into(), GATEWAY.into(), SPI)?;
        let agent = site.agent()?.arg("--attach").arg(mode).start()?;
        let far = site.far()?;
        frames.iter().try_for_each(|frame| far.send(frame))?;
        let hook = if mode == "tc" { "tc_ingress" } else { "xdp" };
        let mut ended = Tally::new();
        for ([reason, action], count) in reasons(&settled(&agent, hook, frames.len())?, OUTSIDE, hook) {
            let reason = if reason == "unknown_unsynced" { "unknown_spi".to_owned() } else { reason };
            let sum = ended.entry([reason, action]).or_default();
            *sum = *sum + count;
        }
        ensure!(ended.len() > 8, "{mode}: {ended:?}");
        assert_eq!(*first.get_or_insert_with(|| ended.clone()), ended, "{mode}");
    }
    Ok(())
}

/// What a packet socket sends, and the kernel brings to TC as it was: it drops a frame that ends in its tag, and takes the first
/// of three tags for itself (`skb_vlan_untag`).
fn comes_through(frame: &[u8]) -> bool {
    let tags = frame.get(12..).unwrap_or_default().chunks_exact(4);
    let tags = tags.take_while(|tag| matches!(tag, [0x81, 0x00, ..] | [0x88, 0xa8, ..])).count();
    frame.len() >= 14 + 4 * tags.max(1) && tags < 3
}

/// The scrape after a hook has counted so many packets: veth hands over to another CPU.
fn settled(agent: &Agent, hook: &str, packets: usize) -> Result<Scrape> {
    wait::until_ok(PATIENCE, &format!("{packets} packets at {hook}"), || {
        let scrape = agent.scrape()?;
        let seen = total(&scrape, OUTSIDE, hook);
        ensure!(seen.0 >= packets as u64, "{seen:?}");
        Ok(scrape)
    })
}
