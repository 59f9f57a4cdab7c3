//! Random policies in the kernel, and packets in the clear that it would forward or take: what the kernel's own lookup makes of
//! each is what the compiled rules say.

mod fate;

use anyhow::{Result, bail, ensure};
use esp_agent::{
    datapath::{classifier::compile, image::Image},
    picture::Picture,
    xfrm::{
        Xfrm as _,
        model::{Mark, Mode, Net, Policy, PolicyAction, PolicyDir, PolicyId, Port, Selector, Template},
        netlink::Netlink,
        order::Order,
    },
};
use esp_common::{Prefix, Rule, RuleAction, RuleTable, Spi};
use esp_tests::{
    crossing::{Crossing, NEAR},
    link::mac,
    rules::{self, InMemory, Kind, firsts, frame},
    strategy::{runner, sample},
    wire::Wire,
};
use fate::Fate;
use proptest::test_runner::TestRunner;
use std::{collections::BTreeMap, net::IpAddr};

const POLICIES: usize = 120;
const PACKETS: usize = 80;
/// Few of them: many policies are equal in priority, and the older one wins.
const PRIORITIES: u32 = 8;

/// Which policies decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// What the router forwards, when it comes in.
    Fwd,
    /// What is for the router itself.
    In,
    /// What the router forwards, when it leaves.
    Out,
}

impl Way {
    /// Sets of policies. Of those for what is received the fourth has policies of equal priority, of which the oldest does not win
    /// before Linux 6.12.
    const fn sets(self) -> usize {
        match self {
            Self::In => 5,
            Self::Fwd | Self::Out => 2,
        }
    }

    const fn dirs(self) -> (&'static [u8], PolicyDir, RuleTable) {
        match self {
            Self::Fwd => (&[Rule::DIR_FWD], PolicyDir::Fwd, RuleTable::In),
            Self::In => (&[Rule::DIR_IN], PolicyDir::In, RuleTable::In),
            Self::Out => (&[Rule::DIR_OUT], PolicyDir::Out, RuleTable::Out),
        }
    }
}

#[test]
#[ignore = "T4: root, ESP"]
fn the_kernel_finds_the_same_policy_for_what_it_forwards() -> Result<()> {
    the_same(Way::Fwd)
}

#[test]
#[ignore = "T4: root, ESP"]
fn the_kernel_finds_the_same_policy_for_what_it_receives() -> Result<()> {
    the_same(Way::In)
}

#[test]
#[ignore = "T4: root, ESP"]
fn the_kernel_finds_the_same_policy_for_what_leaves() -> Result<()> {
    the_same(Way::Out)
}

fn the_same(way: Way) -> Result<()> {
    let mut runner = runner(4);
    let crossing = Crossing::new()?;
    for name in ["all", "near0"] {
        crossing.router.sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0")?;
    }
    // Hosts ask for routers, which would be packets for this one.
    crossing.left.sysctl("net/ipv6/conf/left0/disable_ipv6", "1")?;
    crossing.right.sysctl("net/ipv6/conf/right0/disable_ipv6", "1")?;
    // Questions for neighbours, and that nobody answers them, would be packets of the router's own.
    crossing.router.ip("link set far0 arp off")?;
    for family in ["-4", "-6"] {
        crossing.router.ip(&format!("{family} route add default dev far0"))?;
        if way == Way::In {
            // All that the left host sends is for the router; what that answers is not.
            crossing.router.ip(&format!("{family} route add local default dev lo table 100"))?;
            crossing.router.ip(&format!("{family} rule add iif near0 lookup 100 priority 1"))?;
        }
    }
    let wire = Wire::open(&crossing.left, "left0")?;
    let mut fates: BTreeMap<Fate, usize> = BTreeMap::new();
    for _ in 0..way.sets() {
        crossing.router.ip("xfrm policy flush")?;
        for fate in crossing.router.run_in(|| one_set(&mut runner, &wire, way))? {
            *fates.entry(fate).or_default() += 1;
        }
    }
    eprintln!("{way:?}: {fates:?}");
    ensure!(fates.len() == 3 && fates.values().all(|packets| *packets > 4), "{fates:?}");
    Ok(())
}

/// In the router: what becomes of each packet by one set of policies.
fn one_set(runner: &mut TestRunner, wire: &Wire, way: Way) -> Result<Vec<Fate>> {
    let (sets, rules) = install(runner, way)?;
    let mut fates = Vec::new();
    while fates.len() < PACKETS {
        let packet = shown(sample(runner, &rules::turn()).packet(&rules));
        // Neighbours talk ICMPv6 to the router too.
        if !is_plain(&packet) || way == Way::In && packet.proto == ICMPV6 {
            continue;
        }
        let fate = match firsts(&sets, &packet)[0] {
            Some((verdict, _)) if Rule::protects(verdict) => Fate::MustBeProtected,
            Some((verdict, _)) if verdict >> 4 == RuleAction::Discard.as_raw() => Fate::Blocked,
            Some(_) | None => Fate::Passes,
        };
        let mut frame = frame(&packet);
        frame[..6].copy_from_slice(&mac(NEAR.into()));
        let seen = fate::of(wire, &frame, way)?;
        ensure!(seen == fate, "the kernel says {seen:?}, the rules {fate:?}: {packet:?}");
        fates.push(fate);
    }
    Ok(fates)
}

/// Policies of random selectors, priorities and actions; the rules as the agent reads them back, in the kernel's order.
fn install(runner: &mut TestRunner, way: Way) -> Result<(InMemory, Vec<Rule>)> {
    let (dirs, dir, table) = way.dirs();
    let mut kernel = Netlink::open()?;
    for _ in 0..POLICIES {
        let rule = sample(runner, &rules::rule(dirs, Kind::Wild));
        let priority = sample(runner, &(0..PRIORITIES));
        // A selector that is there already is refused.
        _ = kernel.add_policy(&policy(&rule, dir, priority)).is_ok();
    }
    let policies = kernel.policies()?;
    ensure!(policies.len() > POLICIES / 2, "only {} policies", policies.len());
    let policies = policies.into_iter().map(|observed| (observed.index, observed)).collect();
    let order = Order::of_this_kernel();
    let image = Image::of(&Picture { policies, order, ..Picture::default() });
    let rules = if way == Way::Out { image.rules_out } else { image.rules_in };
    let Ok(set) = compile(&rules, table) else { bail!("no room") };
    Ok((InMemory(set), rules))
}

fn policy(rule: &Rule, dir: PolicyDir, priority: u32) -> Policy {
    let selector = Selector {
        src: net(&rule.src),
        dst: net(&rule.dst),
        proto: rule.proto,
        sport: Port { port: rule.sport, mask: rule.sport_mask },
        dport: Port { port: rule.dport, mask: rule.dport_mask },
        ifindex: 0,
    };
    let id = PolicyId { selector, dir, mark: Mark { value: 0, mask: 0 }, if_id: 0 };
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
