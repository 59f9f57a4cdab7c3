//! Random policies in the kernel, and packets in the clear that it would forward: what the kernel's own lookup makes of each
//! is what the compiled rules say.

use anyhow::{Context as _, Result, bail, ensure};
use esp_agent::{
    datapath::{classifier::compile, image::Image},
    picture::Picture,
    xfrm::{
        Xfrm as _,
        model::{Mark, Mode, Net, Policy, PolicyAction, PolicyDir, PolicyId, Port, Selector, Template},
        netlink::Netlink,
    },
};
use esp_common::{Prefix, Rule, RuleAction, RuleTable, Spi};
use esp_tests::{
    crossing::{Crossing, NEAR},
    lab::{moved, xfrm_stat},
    link::mac,
    rules::{self, InMemory, Kind, firsts, frame},
    strategy::{runner, sample},
    wire::Wire,
};
use proptest::test_runner::TestRunner;
use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

const SETS: usize = 5;
const POLICIES: usize = 120;
const PACKETS: usize = 120;
/// Few of them: many policies are equal in priority, and the older one wins.
const PRIORITIES: u32 = 8;

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Fate {
    Passes,
    MustBeProtected,
    Blocked,
}

#[test]
#[ignore = "T4: root, ESP"]
fn the_kernel_finds_the_same_policy() -> Result<()> {
    let mut runner = runner(4);
    let crossing = Crossing::new()?;
    for name in ["all", "near0"] {
        crossing.router.sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0")?;
    }
    crossing.router.ip("route add default dev far0")?;
    crossing.router.ip("-6 route add default dev far0")?;
    let wire = Wire::open(&crossing.left, "left0")?;
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    for _ in 0..SETS {
        crossing.router.ip("xfrm policy flush")?;
        let (sets, rules) = crossing.router.run_in(|| install(&mut runner))?;
        let mut sent = 0;
        while sent < PACKETS {
            let packet = shown(sample(&mut runner, &rules::turn()).packet(&rules));
            if !is_plain(&packet) {
                continue;
            }
            let fate = match firsts(&sets, &packet)[0] {
                Some((verdict, _)) if Rule::protects(verdict) => Fate::MustBeProtected,
                Some((verdict, _)) if verdict >> 4 == RuleAction::Discard.as_raw() => Fate::Blocked,
                Some(_) | None => Fate::Passes,
            };
            let mut frame = frame(&packet);
            frame[..6].copy_from_slice(&mac(NEAR.into()));
            let seen = fate_of(&crossing, &wire, &frame)?;
            ensure!(seen == fate, "the kernel says {seen:?}, the rules {fate:?}: {packet:?}");
            *fates.entry(fate).or_default() += 1;
            sent += 1;
        }
    }
    eprintln!("{fates:?}");
    ensure!(fates.len() == 3 && fates.values().all(|packets| *packets > 30), "{fates:?}");
    Ok(())
}

/// Policies of random selectors, priorities and actions; the rules as the agent reads them back, in the kernel's order.
fn install(runner: &mut TestRunner) -> Result<(InMemory, Vec<Rule>)> {
    let mut kernel = Netlink::open()?;
    for _ in 0..POLICIES {
        let rule = sample(runner, &rules::rule(&[Rule::DIR_FWD], Kind::Wild));
        let priority = sample(runner, &(0..PRIORITIES));
        // A selector that is there already is refused.
        _ = kernel.add_policy(&policy(&rule, priority)).is_ok();
    }
    let policies = kernel.policies()?;
    ensure!(policies.len() > POLICIES / 2, "only {} policies", policies.len());
    let policies = policies.into_iter().map(|observed| (observed.index, observed)).collect();
    let image = Image::of(&Picture { policies, ..Picture::default() });
    let Ok(set) = compile(&image.rules_in, RuleTable::In) else { bail!("no room") };
    Ok((InMemory(set), image.rules_in))
}

fn policy(rule: &Rule, priority: u32) -> Policy {
    let selector = Selector {
        src: net(&rule.src),
        dst: net(&rule.dst),
        proto: rule.proto,
        sport: Port { port: rule.sport, mask: rule.sport_mask },
        dport: Port { port: rule.dport, mask: rule.dport_mask },
        ifindex: 0,
    };
    let id = PolicyId { selector, dir: PolicyDir::Fwd, mark: Mark { value: 0, mask: 0 }, if_id: 0 };
    let any = |like: IpAddr| if like.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let template = Template {
        src: any(selector.src.addr),
        dst: any(selector.dst.addr),
        spi: Spi::new(0),
        proto: 50,
        mode: Mode::Transport,
        reqid: 1,
        optional: false,
    };
    let protects = Rule::protects(rule.verdict);
    let blocks = rule.verdict >> 4 == RuleAction::Discard.as_raw();
    Policy {
        priority,
        action: if blocks { PolicyAction::Block } else { PolicyAction::Allow },
        templates: if protects { vec![template] } else { Vec::new() },
        ..Policy::bare(id)
    }
}

fn net(prefix: &Prefix) -> Net {
    let addr = prefix.net.ip();
    let len = u128::from_be_bytes(prefix.mask.octets()).leading_ones() - if addr.is_ipv4() { 96 } else { 0 };
    Net { addr, len: len as u8 }
}

/// The packet as its frame shows it: ICMP has a type and a code of eight bits, what has no ports has 0.
fn shown(packet: esp_common::Selector) -> esp_common::Selector {
    let mask = match packet.proto {
        6 | 17 | 132 => u16::MAX,
        ICMP | ICMPV6 => 0xff,
        _ => 0,
    };
    esp_common::Selector { sport: packet.sport & mask, dport: packet.dport & mask, ..packet }
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Packets that a router forwards, that show their ports, and whose "ports" are not the key of GRE, or those of the other
/// family's ICMP.
fn is_plain(packet: &esp_common::Selector) -> bool {
    const GRE: u8 = 47;
    let foreign = packet.proto == if packet.family == 4 { ICMPV6 } else { ICMP };
    let routable = |ip| match ip {
        IpAddr::V4(ip) => matches!(ip.octets()[0], 1 | 10 | 128),
        IpAddr::V6(ip) => matches!(ip.octets()[0], 1 | 10 | 127 | 128),
    };
    routable(packet.src.ip())
        && routable(packet.dst.ip())
        && packet.port_mask != 0
        && packet.proto != GRE
        && !foreign
}

/// Sends it to the router; which of its counters moves.
fn fate_of(crossing: &Crossing, wire: &Wire, frame: &[u8]) -> Result<Fate> {
    let read = || Ok::<_, anyhow::Error>((xfrm_stat(&crossing.router)?, crossing.router.run_in(forwarded)?));
    let before = read()?;
    wire.send(frame)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        let after = read()?;
        let moved = moved(&before.0, &after.0);
        let names: Vec<_> = moved.keys().map(String::as_str).collect();
        match (names.as_slice(), after.1 - before.1) {
            (["XfrmInTmplMismatch"], 0) => return Ok(Fate::MustBeProtected),
            (["XfrmInPolBlock"], 0) => return Ok(Fate::Blocked),
            ([], 1) => return Ok(Fate::Passes),
            ([], 0) => {}
            (names, forwarded) => bail!("{names:?} moved, and {forwarded} packets were forwarded"),
        }
    }
    bail!("no counter moved: {frame:02x?}")
}

/// Packets of both families that were forwarded in this thread's namespace.
fn forwarded() -> Result<u64> {
    let four = std::fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = four.lines().filter(|line| line.starts_with("Ip:")).map(str::split_whitespace);
    let (names, values) = (lines.next().context("names")?, lines.next().context("values")?);
    let (_, four) =
        names.zip(values).find(|(name, _)| *name == "ForwDatagrams").context("no such counter")?;
    let six = std::fs::read_to_string("/proc/thread-self/net/snmp6")?;
    let six =
        six.lines().find_map(|line| line.strip_prefix("Ip6OutForwDatagrams")).context("no such counter")?;
    Ok(four.parse::<u64>()? + six.trim().parse::<u64>()?)
}
