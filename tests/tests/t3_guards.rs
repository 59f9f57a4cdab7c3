//! The guards on real frames: counted by policy in observe, dropped in enforce, and never dropped on a picture that
//! nobody keeps up to date.

use anyhow::{Context, Result, ensure};
use esp_agent::datapath::read;
use esp_common::Reason;
use esp_tests::{
    agent::{Agent, PATIENCE},
    bench::cpu::pin,
    frame::{Frame, Ipv4, Payload},
    link::mac,
    site::{GATEWAY, NOWHERE, OUTSIDE, PEER, Site, inbound},
    wait,
};
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{ErrorKind, Read as _},
    net::{Ipv4Addr, UdpSocket},
    time::{Duration, Instant},
};
use tempfile::NamedTempFile;

/// The networks behind the two gateways, and a host in each.
const OUR_NET: &str = "192.168.1.0/24";
const THEIR_NET: &str = "192.168.2.0/24";
const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
/// A host of theirs that need not be protected.
const EXCUSED: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 9);
/// What no policy selects.
const OUTSIDER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const PORT: u16 = 7777;
const KNOWN: u32 = 0x1000;
const UNKNOWN: u32 = 0xdead_0001;
/// The agent's lease, and what a busy machine adds to it.
const LEASE: Duration = Duration::from_secs(5);
const SLACK: Duration = Duration::from_secs(3);

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn clear_text_from_outside_is_counted_in_observe_and_dropped_in_enforce() -> Result<()> {
    let guarded = Guarded::start("cleartext_in", "auto", |site| {
        // Only `fwd`: the kernel itself would drop what an `in` policy selects.
        site.gateway.ip(&format!(
            "xfrm policy add src {THEIR_NET} dst {OUR_NET} dir fwd priority 10 tmpl src {PEER} dst {GATEWAY} proto esp reqid 5 mode tunnel"
        ))?;
        bypass(site, "fwd", EXCUSED, OURS)
    })?;
    let (far, receiver) = (guarded.site.far()?, receiver(&guarded.site)?);
    let from = |src: Ipv4Addr| {
        let payload = Payload::udp(PORT, PORT, src.octets().to_vec());
        Frame::v4(&Ipv4::new(src, OURS), &payload).macs(mac(PEER.into()), mac(GATEWAY.into())).build()
    };
    let policy = format!("fwd {THEIR_NET} -> {OUR_NET}");
    for (mode, passing) in
        [("observe", vec![THEIRS, EXCUSED, OUTSIDER]), ("enforce", vec![EXCUSED, OUTSIDER])]
    {
        guarded.enter(mode)?;
        // What may pass comes last: when it is there, the others were dropped or are there too.
        for src in [THEIRS, EXCUSED, OUTSIDER] {
            far.send(&from(src))?;
        }
        for src in passing {
            assert_eq!(arrival(&receiver)?, src, "{mode}");
        }
        guarded.expect_one_hit(mode, &policy)?;
        let action = if mode == "enforce" { "drop" } else { "pass" };
        let counted = [("hook", "tc_ingress"), ("reason", "cleartext_in"), ("action", action)];
        assert_eq!(guarded.agent.metric("esp_packets_total", &counted)?, 1, "{mode}");
    }
    Ok(())
}

/// The kernel protects what its stack sends: only what goes round it (a raw socket, a bridge, an offload gone wrong)
/// can leave in the clear.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn clear_text_on_its_way_out_is_counted_in_observe_and_dropped_in_enforce() -> Result<()> {
    let guarded = Guarded::start("cleartext_out", "auto", |site| {
        site.gateway.ip(&format!(
            "xfrm policy add src {OUR_NET} dst {THEIR_NET} dir out priority 10 tmpl src {GATEWAY} dst {PEER} proto esp reqid 5 mode tunnel"
        ))?;
        bypass(site, "out", OURS, EXCUSED)
    })?;
    let (near, far) = (guarded.site.near()?, guarded.site.far()?);
    let to = |dst: Ipv4Addr| {
        let payload = Payload::udp(PORT, PORT, dst.octets().to_vec());
        Frame::v4(&Ipv4::new(OURS, dst), &payload).macs(mac(GATEWAY.into()), mac(PEER.into())).build()
    };
    let sent = [THEIRS, EXCUSED, OUTSIDER].map(to);
    let policy = format!("out {OUR_NET} -> {THEIR_NET}");
    for (mode, passing) in [("observe", &sent[..]), ("enforce", &sent[1..])] {
        guarded.enter(mode)?;
        for frame in &sent {
            // The kernel tells the sender of a frame that TC egress drops.
            let told = near.send(frame);
            ensure!(told.is_ok() || !passing.contains(frame), "{mode}: {told:?}");
        }
        for frame in passing {
            let arrived = far.receive(PATIENCE, |one| sent.iter().any(|other| other == one))?;
            assert_eq!(arrived.as_ref(), Some(frame), "{mode}");
        }
        guarded.expect_one_hit(mode, &policy)?;
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn an_unknown_spi_is_dropped_in_enforce_at_xdp_and_at_tc() -> Result<()> {
    for attach in ["native", "generic", "tc"] {
        let guarded = Guarded::unknown_spi(attach)?;
        let (far, raw) = (guarded.site.far()?, raw_esp(&guarded.site)?);
        // TC cannot ask the kernel: the picture must be complete of a moment after the flow's first packet on this CPU.
        pin(None)?;
        guarded.enter("off")?;
        wait::until_ok(PATIENCE, "the picture to cover the unknown SPI", || {
            ensure!(passes(&far, &raw)?, "dropped while off");
            ensure!(reason(&guarded.site, Reason::UnknownSpi)? > 0, "{attach}: not yet");
            Ok(())
        })?;
        for (mode, passing) in [("observe", true), ("enforce", false), ("off", true)] {
            guarded.enter(mode)?;
            assert_eq!(passes(&far, &raw)?, passing, "{attach} {mode}");
            if mode != "off" {
                guarded.expect_one_hit(mode, "")?;
            }
        }
        assert_eq!(guarded.agent.metric("esp_guard_hits_total", &[])?, 2, "{attach}: off counts no hits");
    }
    Ok(())
}

/// After SIGKILL nobody follows the kernel's SAs: an SPI that is unknown to the maps may be one of a new SA.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn nothing_is_dropped_any_more_once_the_lease_of_a_killed_agent_is_over() -> Result<()> {
    let Guarded { site, mut agent, .. } = Guarded::unknown_spi("auto")?.in_mode("enforce")?;
    let (far, raw) = (site.far()?, raw_esp(&site)?);
    ensure!(!passes(&far, &raw)?, "enforce does not drop");
    agent.kill()?;
    let killed = Instant::now();
    wait::until_ok(LEASE + SLACK, "the end of the lease", || {
        ensure!(passes(&far, &raw)?, "still dropped");
        Ok(())
    })?;
    // The last beat was at most a second before the end.
    assert!(killed.elapsed() > LEASE - Duration::from_secs(2), "{:?}", killed.elapsed());
    assert!(reason(&site, Reason::UnknownUnsynced)? >= 1);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn nothing_is_dropped_any_more_after_a_clean_stop() -> Result<()> {
    let Guarded { site, mut agent, .. } = Guarded::unknown_spi("auto")?.in_mode("enforce")?;
    let (far, raw) = (site.far()?, raw_esp(&site)?);
    ensure!(!passes(&far, &raw)?, "enforce does not drop");
    assert_eq!(agent.stop()?, 0);
    ensure!(passes(&far, &raw)?, "dropped after the stop");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn nothing_is_dropped_while_the_picture_is_not_in_sync() -> Result<()> {
    let Guarded { site, agent, .. } = Guarded::unknown_spi("auto")?.in_mode("enforce")?;
    let (far, raw) = (site.far()?, raw_esp(&site)?);
    ensure!(!passes(&far, &raw)?, "enforce does not drop");
    // As the agent does between a netlink overrun and the end of the reading after it.
    agent.signal(Signal::SIGSTOP)?;
    let mut maps = site.maps()?;
    let settings = read::settings(&maps)?;
    maps.settings.set(0, esp_common::Settings { synced: 0, ..settings }, 0)?;
    ensure!(passes(&far, &raw)?, "dropped while not in sync");
    assert_eq!(reason(&site, Reason::UnknownUnsynced)?, 1);
    agent.signal(Signal::SIGCONT)?;
    wait::until_ok(PATIENCE, "enforce again", || {
        ensure!(!passes(&far, &raw)?, "passes");
        Ok(())
    })
}

/// A site and its agent, with one guard to try.
struct Guarded {
    site: Site,
    agent: Agent,
    guard: &'static str,
    config: NamedTempFile,
}

impl Guarded {
    /// With the guard off, and before the agent starts what `prepare` does.
    fn start(guard: &'static str, attach: &str, prepare: impl FnOnce(&Site) -> Result<()>) -> Result<Self> {
        let site = Site::new()?;
        site.gateway.ip(&format!("address add {OURS}/32 dev lo"))?;
        prepare(&site)?;
        let config = NamedTempFile::new()?;
        std::fs::write(config.path(), format!("[guard]\n{guard} = \"off\"\n"))?;
        let agent = site.agent()?.config(config.path()).arg("--attach").arg(attach).start()?;
        Ok(Self { site, agent, guard, config })
    }

    fn unknown_spi(attach: &str) -> Result<Self> {
        Self::start("unknown_spi", attach, |site| site.allocate(NOWHERE.into(), GATEWAY.into(), KNOWN))
    }

    fn in_mode(self, mode: &str) -> Result<Self> {
        self.enter(mode)?;
        Ok(self)
    }

    fn enter(&self, mode: &str) -> Result<()> {
        std::fs::write(self.config.path(), format!("[guard]\n{} = \"{mode}\"\n", self.guard))?;
        self.agent.signal(Signal::SIGHUP)?;
        self.agent.wait_metric("esp_guard_mode", &[("guard", self.guard), ("mode", mode)], 1).map(drop)
    }

    fn expect_one_hit(&self, mode: &str, policy: &str) -> Result<()> {
        let of = [("guard", self.guard), ("mode", mode)];
        self.agent.wait_metric("esp_guard_hits_total", &of, 1)?;
        let named = [of[0], of[1], ("policy", policy)];
        ensure!(self.agent.metric("esp_guard_hits_total", &named)? == 1, "{mode}: not a hit of {policy:?}");
        ensure!(self.agent.metric("esp_guard_hits_total", &of)? == 1, "{mode}: more than one hit");
        Ok(())
    }
}

/// A policy that lets one pair of hosts pass in the clear, before the others.
fn bypass(site: &Site, dir: &str, src: Ipv4Addr, dst: Ipv4Addr) -> Result<()> {
    site.gateway.ip(&format!("xfrm policy add src {src}/32 dst {dst}/32 dir {dir} priority 1")).map(drop)
}

/// Who listens behind the guard.
fn receiver(site: &Site) -> Result<UdpSocket> {
    let socket = site.gateway.run_in(|| Ok(UdpSocket::bind((OURS, PORT))?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// The address that the next sender wrote into its packet.
fn arrival(receiver: &UdpSocket) -> Result<Ipv4Addr> {
    let mut octets = [0; 4];
    receiver.recv(&mut octets).context("nothing arrived")?;
    Ok(octets.into())
}

/// ESP as the stack of the gateway gets it, whether the kernel has an SA for it or not.
fn raw_esp(site: &Site) -> Result<Socket> {
    let socket =
        site.gateway.run_in(|| Ok(Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(50)))?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn first_spi(mut raw: &Socket) -> Result<u32> {
    let mut packet = [0; 1500];
    let len = raw.read(&mut packet).context("no ESP arrived")?;
    let spi = packet.get(20..24).filter(|_| len >= 24).context("less than an ESP header")?;
    Ok(u32::from_be_bytes(spi.try_into()?))
}

/// Sends ESP without an SA, then ESP of one: whether the first came through.
fn passes(far: &esp_tests::wire::Wire, raw: &Socket) -> Result<bool> {
    for spi in [UNKNOWN, KNOWN] {
        far.send(&inbound(&Payload::esp(spi, 1, 64)).build())?;
    }
    let passed = first_spi(raw)? == UNKNOWN;
    if passed {
        ensure!(first_spi(raw)? == KNOWN, "the unknown one came twice");
    }
    raw.set_nonblocking(true)?;
    let rest = (&mut &*raw).read(&mut [0; 1500]);
    raw.set_nonblocking(false)?;
    ensure!(rest.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "more arrived than was sent");
    Ok(passed)
}

/// Packets that ended in a reason, with the agent stopped or dead.
fn reason(site: &Site, reason: Reason) -> Result<u64> {
    let maps = site.maps()?;
    let ours = |slot| {
        read::slots(&maps).is_ok_and(|all| all.iter().any(|(at, s)| *at == slot && s.name() == OUTSIDE))
    };
    let counts = read::reasons(&maps)?;
    Ok(counts
        .iter()
        .filter(|row| row.reason == reason && ours(row.slot))
        .map(|row| row.counter.packets)
        .sum())
}
