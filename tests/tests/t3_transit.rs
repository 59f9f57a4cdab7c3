//! ESP that crosses a router: what XDP sends on arrives as the kernel would have sent it, to the byte, and what is no plain
//! case is left to the kernel.

use anyhow::{Result, ensure};
use esp_tests::{
    agent::{Agent, Binary},
    crossing::{BEYOND, Crossing, LEFT, LEFT6, MTU, NEAR, NOWHERE, RIGHT, RIGHT6},
    frame::{Ext, Frame, Ipv4, Ipv6, Payload},
    link::mac,
    wire::Wire,
};
use std::{io::Write as _, net::Ipv4Addr, time::Duration};
use tempfile::NamedTempFile;

const SPI: u32 = 0x1234;
/// For a frame that must not come; one that comes is there at once.
const SILENCE: Duration = Duration::from_millis(150);
const SOON: Duration = Duration::from_secs(20);

fn start(crossing: &Crossing, mode: &str, transit: &str) -> Result<(Agent, NamedTempFile)> {
    let mut config = NamedTempFile::new()?;
    writeln!(config, "{transit}")?;
    let agent = Binary::find()?.launch(&crossing.router).iface("near0").iface("far0").config(config.path());
    Ok((agent.arg("--attach").arg(mode).start()?, config))
}

fn to_router(frame: Frame) -> Vec<u8> {
    frame.macs(mac(LEFT.into()), mac(NEAR.into())).build()
}

fn v4(dst: Ipv4Addr, len: usize) -> Vec<u8> {
    to_router(Frame::v4(&Ipv4::new(LEFT, dst), &Payload::esp(SPI, 1, len)))
}

/// Another byte of the IPv4 header, its sum put right.
fn with(mut frame: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    frame[14 + at] = value;
    frame[24..26].fill(0);
    let mut sum: u32 =
        frame[14..34].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[24..26].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    frame
}

/// Name, frame, whether XDP sends it on.
fn frames() -> Vec<(&'static str, Vec<u8>, bool)> {
    let six = |header: Ipv6| to_router(Frame::v6(&header, &Payload::esp(SPI, 1, 64)));
    let (plain6, natt) = (six(Ipv6::new(LEFT6, RIGHT6)), Payload::natt_esp(SPI, 1, 64));
    let mut labelled = plain6.clone();
    labelled[14..18].copy_from_slice(&[0x6b, 0x81, 0x23, 0x45]);
    let mut last_hop6 = plain6.clone();
    last_hop6[21] = 1;
    let mut other_mac = v4(RIGHT, 64);
    other_mac[5] ^= 1;
    let largest = usize::from(MTU) - 20 - 8;
    let mut all = vec![
        ("ESP", v4(RIGHT, 64), true),
        ("ESP to a network behind a gateway", v4(BEYOND, 64), true),
        ("the largest ESP", v4(RIGHT, largest), true),
        ("ESP with a class", with(v4(RIGHT, 64), 1, 0xb8), true),
        ("the last hop but one", with(v4(RIGHT, 64), 8, 2), true),
        ("ESP in UDP", to_router(Frame::v4(&Ipv4::new(LEFT, RIGHT), &natt)), true),
        ("ESP over IPv6", plain6, true),
        ("ESP over IPv6 with class and label", labelled, true),
        ("the last hop", with(v4(RIGHT, 64), 8, 1), false),
        ("the last hop over IPv6", last_hop6, false),
        ("too large", v4(RIGHT, largest + 4), false),
        ("no route", v4(NOWHERE, 64), false),
        (
            "options",
            to_router(Frame::v4(&Ipv4::new(LEFT, RIGHT).options(4), &Payload::esp(SPI, 1, 64))),
            false,
        ),
        (
            "a first fragment",
            to_router(Frame::v4(&Ipv4::new(LEFT, RIGHT).fragment(0, true), &Payload::esp(SPI, 1, 64))),
            false,
        ),
        ("destination options", six(Ipv6::new(LEFT6, RIGHT6).ext(Ext::DestOpts(0))), false),
        ("another MAC address", other_mac, false),
        ("a tag", to_router(Frame::v4(&Ipv4::new(LEFT, RIGHT), &Payload::esp(SPI, 1, 64)).vlan(7)), false),
        ("TCP", to_router(Frame::v4(&Ipv4::new(LEFT, RIGHT), &Payload::tcp(1, 2, 9))), false),
        ("back where it came from", v4(LEFT, 64), false),
    ];
    // All sums, so that the carry is among them.
    all.extend((0..=255_u8).step_by(5).map(|id| ("one of many", with(v4(RIGHT, 64), 5, id), true)));
    all
}

/// What arrives of each frame; `None` for nothing.
fn arrivals(crossing: &Crossing) -> Result<Vec<Option<Vec<u8>>>> {
    let (left, right) = (Wire::open(&crossing.left, "left0")?, Wire::open(&crossing.right, "right0")?);
    let ours = |frame: &[u8]| {
        let (v4, v6) =
            (frame[12..14] == [8, 0] && [50, 17, 6].contains(&frame[23]), frame[12..14] == [0x86, 0xdd]);
        v4 || v6 && [50, 60].contains(&frame[20])
    };
    let mut all = Vec::new();
    for (name, frame, plain) in frames() {
        left.send(&frame)?;
        let arrived = right.receive(if plain { SOON } else { SILENCE }, ours)?;
        ensure!(arrived.is_some() || !plain, "{name} does not arrive");
        all.push(arrived);
    }
    Ok(all)
}

fn redirected(agent: &Agent) -> Result<u64> {
    let labels = [("iface", "near0"), ("hook", "xdp"), ("action", "redirect")];
    Ok(agent.scrape()?.sum("esp_packets_total", &labels).unwrap_or(0))
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn what_xdp_sends_on_is_what_the_kernel_would_have_sent() -> Result<()> {
    let by_kernel = {
        let crossing = Crossing::new()?;
        let (agent, _config) = start(&crossing, "native", "[transit]\nforward = false")?;
        let all = arrivals(&crossing)?;
        assert_eq!(redirected(&agent)?, 0);
        all
    };
    for mode in ["native", "generic"] {
        let crossing = Crossing::new()?;
        let (mut agent, _config) = start(&crossing, mode, "[transit]\nforward = true")?;
        let by_xdp = arrivals(&crossing)?;
        for (((name, frame, _), kernel), xdp) in frames().iter().zip(&by_kernel).zip(&by_xdp) {
            ensure!(kernel == xdp, "{mode}, {name}: {frame:02x?}\n{kernel:02x?}\n{xdp:02x?}");
        }
        let plain = frames().iter().filter(|(_, _, plain)| *plain).count() as u64;
        assert_eq!(redirected(&agent)?, plain, "{mode}");
        assert_eq!(agent.stop()?, 0);
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn policies_and_flows_that_were_not_asked_for_leave_it_to_the_kernel() -> Result<()> {
    let crossing = Crossing::new()?;
    let (left, right) = (Wire::open(&crossing.left, "left0")?, Wire::open(&crossing.right, "right0")?);
    let cross = || -> Result<()> {
        left.send(&v4(RIGHT, 64))?;
        ensure!(
            right.receive(SOON, |frame| frame[12..14] == [8, 0] && frame[23] == 50)?.is_some(),
            "it is lost"
        );
        Ok(())
    };
    {
        let (mut agent, _config) =
            start(&crossing, "native", "[transit]\nforward = true\nflows = \"known\"")?;
        cross()?;
        assert_eq!(redirected(&agent)?, 0, "no SA is behind it");
        assert_eq!(agent.stop()?, 0);
    }
    let (agent, _config) = start(&crossing, "native", "[transit]\nforward = true")?;
    cross()?;
    assert_eq!(redirected(&agent)?, 1);
    crossing.router.ip("xfrm policy add src 192.0.2.0/24 dst 198.51.100.0/24 dir fwd")?;
    esp_tests::wait::until_ok(SOON, "the policy in the maps", || {
        let before = redirected(&agent)?;
        cross()?;
        ensure!(redirected(&agent)? == before, "still past the stack");
        Ok(())
    })
}

/// Answers of the kernel are kept for a tick, so most of these come to one that was asked for before them.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn what_was_asked_for_one_packet_serves_no_other() -> Result<()> {
    const TIMES: u64 = 100;
    let crossing = Crossing::new()?;
    let (left, right) = (Wire::open(&crossing.left, "left0")?, Wire::open(&crossing.right, "right0")?);
    let (agent, _config) = start(&crossing, "native", "[transit]\nforward = true")?;
    let small = v4(RIGHT, 64);
    let others = [v4(RIGHT, usize::from(MTU) - 20 - 8 + 4), v4(LEFT, 64), v4(NOWHERE, 64)];
    for _ in 0..TIMES {
        left.send(&small)?;
        for other in &others {
            left.send(other)?;
        }
    }
    for _ in 0..TIMES {
        ensure!(right.receive(SOON, |frame| frame[12..14] == [8, 0] && frame[23] == 50)?.is_some(), "lost");
    }
    let labels = [("iface", "near0"), ("hook", "xdp"), ("action", "pass"), ("reason", "esp_foreign")];
    esp_tests::wait::until_ok(SOON, "all of them judged", || {
        let passed = agent.scrape()?.sum("esp_packets_total", &labels).unwrap_or(0);
        ensure!(passed == TIMES * others.len() as u64, "{passed} were left to the stack");
        Ok(())
    })?;
    assert_eq!(redirected(&agent)?, TIMES);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn routes_and_neighbours_that_change_are_followed() -> Result<()> {
    let crossing = Crossing::new()?;
    let (left, right) = (Wire::open(&crossing.left, "left0")?, Wire::open(&crossing.right, "right0")?);
    let (agent, _config) = start(&crossing, "native", "[transit]\nforward = true")?;
    let esp = |frame: &[u8]| frame[12..14] == [8, 0] && frame[23] == 50;
    let to = || -> Result<Option<Vec<u8>>> {
        left.send(&v4(BEYOND, 64))?;
        Ok(right.receive(SILENCE, esp)?.map(|frame| frame[..6].to_vec()))
    };
    ensure!(to()?.as_deref() == Some(&mac(RIGHT.into())), "to the gateway at first");
    crossing.router.ip(&format!("neigh replace {RIGHT} lladdr 02:00:00:00:00:77 dev far0 nud permanent"))?;
    esp_tests::wait::until_ok(SOON, "frames to the other neighbour", || {
        ensure!(to()?.as_deref() == Some(&[2, 0, 0, 0, 0, 0x77]), "to the old one");
        Ok(())
    })?;
    crossing.router.ip("route replace blackhole 10.9.0.0/16")?;
    esp_tests::wait::until_ok(SOON, "nothing sent on", || {
        let before = redirected(&agent)?;
        ensure!(to()?.is_none(), "it still arrives");
        ensure!(redirected(&agent)? == before, "it is still sent on");
        Ok(())
    })
}
