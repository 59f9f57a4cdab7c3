//! The guards with real decryption, each in `observe` and in `enforce`, and the facts about the kernel's hooks that
//! they rest on.

use anyhow::{Context, Error, Result, ensure};
use esp_common::LARVAL_NS;
use esp_tests::{
    bench::cpu::pin,
    capture::Capture,
    frame::{Frame, Ipv4, Payload},
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Ping, Side, Suite, Tunnel, moved, ping, xfrm_stat},
    link::mac,
    wait::until_ok,
    wire::Wire,
};
use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

const PINGS: u32 = 4;

/// A guard, and packets that break its rule.
struct Case {
    guard: &'static str,
    hook: &'static str,
    reason: &'static str,
    /// Under which policy's name the hits are; an SPI that nobody knows has none.
    policy: &'static str,
    /// What the packets meet behind the guard while it only observes.
    behind: &'static str,
    /// What makes them possible.
    prepare: fn(&Stage) -> Result<()>,
    /// Sends [`PINGS`] of them.
    provoke: fn(&Stage) -> Result<()>,
}

const CASES: [Case; 4] = [
    Case {
        guard: "selectors",
        hook: "tc_ingress",
        reason: "selector_mismatch",
        policy: "lab/in",
        behind: "XfrmInNoPols",
        prepare: |_| Ok(()),
        provoke: |stage| lost(ping(&stage.lab.server_b, CLIENT_A[0], PINGS)?),
    },
    Case {
        guard: "cleartext_in",
        hook: "tc_ingress",
        reason: "cleartext_in",
        policy: "lab/fwd",
        behind: "XfrmInTmplMismatch",
        prepare: |_| Ok(()),
        provoke: forge,
    },
    Case {
        guard: "cleartext_out",
        hook: "tc_egress",
        reason: "cleartext_out",
        policy: "lab/out",
        behind: LEAKED,
        prepare: |_| Ok(()),
        provoke: leak,
    },
    // The last one: what it breaks comes back with the next configuration.
    Case {
        guard: "unknown_spi",
        hook: "xdp",
        reason: "unknown_spi",
        policy: "",
        behind: "XfrmInNoStates",
        prepare: forget,
        provoke: |stage| lost(ping(&stage.lab.client_b, CLIENT_A[0], PINGS)?),
    },
];

/// The router could read it.
const LEAKED: &str = "leaked";

/// A lab with the agent on server-a and the peer's side by hand.
struct Stage {
    lab: Lab,
    router: Capture,
    tunnel: Tunnel,
    a: Gateway,
}

impl Stage {
    fn new(launch: &[&str]) -> Result<Self> {
        let lab = Lab::new()?;
        let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
        tunnel.by_hand(&lab.server_b, Side::B)?;
        let mut a = Gateway::new(&lab, Side::A, &config(&tunnel, "observe"))?;
        a.start_with(launch)?;
        Ok(Self { router: lab.watch_router()?, lab, tunnel, a })
    }

    /// A peer whose policy is broader than ours: it sends from a network that we have not agreed on.
    fn broaden_peer(&self) -> Result<()> {
        let peer = &self.lab.server_b;
        peer.ip("address add 192.168.99.1/32 dev lo")?;
        peer.ip("route add 192.168.1.0/24 via 10.66.66.66 src 192.168.99.1")?;
        let template = self.tunnel.template(Side::A);
        peer.ip(&format!("xfrm policy add src 192.168.99.0/24 dst 192.168.1.0/24 dir out {template}"))?;
        Ok(())
    }

    /// Packets of a case's reason that were passed and dropped, hits of its guard, packets without an SA.
    fn counts(&self, case: &Case, mode: &str) -> Result<[u64; 4]> {
        let agent = self.a.agent()?;
        let [passed, dropped] = self.a.reason(case.hook, case.reason)?;
        let labels = [("guard", case.guard), ("mode", mode), ("policy", case.policy)];
        let hits = agent.metric("esp_guard_hits_total", &labels)?;
        let spi = format!("{:#010x}", self.tunnel.spi(Side::A));
        let ghost = [("direction", "in"), ("spi", &spi), ("known", "false")];
        Ok([passed, dropped, hits, agent.metric("esp_spi_packets_total", &ghost)?])
    }

    /// What becomes of a case's packets: the kernel's counters that move, and what the router can read.
    fn fate(&self, case: &Case) -> Result<Vec<(String, u64)>> {
        let before = xfrm_stat(&self.a.netns)?;
        self.router.take()?;
        (case.provoke)(self)?;
        let clear = self.router.take()?.clear();
        // When what comes behind them in the same queue is answered, they have been judged.
        let fence = ping(&self.lab.router, self.tunnel.outer.server(Side::A), 1)?;
        ensure!(fence.complete(), "{fence}");
        let mut fate = moved(&before, &xfrm_stat(&self.a.netns)?);
        if clear > 0 {
            fate.insert(LEAKED.to_owned(), clear);
        }
        Ok(fate.into_iter().collect())
    }
}

fn config(tunnel: &Tunnel, mode: &str) -> String {
    let modes: String = CASES.iter().map(|case| format!("{} = \"{mode}\"\n", case.guard)).collect();
    // What these tests take away behind the agent's back must stay away.
    format!("reconcile = \"off\"\n[guard]\n{modes}{}", tunnel.config(Side::A, ""))
}

#[test]
#[ignore = "T4: root, ESP"]
fn each_guard_tells_what_breaks_its_rule_and_stops_it_in_enforce() -> Result<()> {
    // Flows are counted by CPU, and so is when they were seen first.
    pin(None)?;
    let stage = Stage::new(&[])?;
    let (a, all) = (&stage.a, u64::from(PINGS));
    stage.broaden_peer()?;
    for (mode, counted) in [("observe", [all, 0]), ("enforce", [0, all])] {
        if mode == "enforce" {
            a.reload(&config(&stage.tunnel, mode))?;
        }
        assert!(
            ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?.complete(),
            "{mode} stops what is as it should be"
        );
        for case in &CASES {
            let behind = if mode == "enforce" { vec![] } else { vec![(case.behind.to_owned(), all)] };
            (case.prepare)(&stage).with_context(|| case.guard)?;
            let before = stage.counts(case, mode)?;
            let fate = stage.fate(case).with_context(|| case.guard)?;
            assert_eq!(fate, behind, "{} in {mode}", case.guard);
            let grown: Vec<u64> =
                stage.counts(case, mode)?.iter().zip(before).map(|(now, before)| now - before).collect();
            let ghosts = if case.guard == "unknown_spi" { all } else { 0 };
            assert_eq!(grown, [counted[0], counted[1], all, ghosts], "{} in {mode}", case.guard);
        }
    }
    // The secpath alone tells these from what was forged: the inner addresses are the same.
    assert_eq!(a.reason("tc_ingress", "decrypted")?, [2 * all, 0]);
    Ok(())
}

fn lost(ping: Ping) -> Result<()> {
    ensure!(ping.received == 0, "{ping}");
    Ok(())
}

/// The policy stands and is not asked: a perfect leak.
fn leak(stage: &Stage) -> Result<()> {
    stage.a.netns.sysctl("net/ipv4/conf/eth5/disable_xfrm", "1")?;
    lost(ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?)?;
    stage.a.netns.sysctl("net/ipv4/conf/eth5/disable_xfrm", "0")
}

/// After tunnel-mode decryption the packet comes in once more on the same interface: generic XDP and TC ingress see
/// it again, native XDP does not. TC tells it from clear text by `bpf_skb_get_xfrm_state`.
#[test]
#[ignore = "T4: root, ESP"]
fn which_hooks_see_a_decrypted_packet() -> Result<()> {
    let mut stage = Stage::new(&["--attach", "native"])?;
    for (attach, xdp_sees_inner) in [("native", 0), ("generic", u64::from(PINGS))] {
        if attach != "native" {
            assert_eq!(stage.a.take_agent()?.stop()?, 0);
            stage.a.start_with(&["--attach", attach])?;
        }
        let mode = [("iface", "eth5"), ("mode", attach)];
        assert_eq!(stage.a.agent()?.metric("esp_agent_datapath_attached", &mode)?, 1);
        let before = seen(&stage.a)?;
        assert!(ping(&stage.lab.client_a, CLIENT_B[0], PINGS)?.complete());
        let after = seen(&stage.a)?;
        let grown: Vec<u64> = after.iter().map(|(key, count)| count - before[key]).collect();
        // esp_known and not_esp at XDP, cleartext_in and decrypted at TC ingress.
        let pings = u64::from(PINGS);
        assert_eq!(grown, [pings, xdp_sees_inner, 0, pings], "{attach}: {before:?} {after:?}");
    }
    Ok(())
}

/// Packets by hook and reason, in the order of the keys.
fn seen(a: &Gateway) -> Result<BTreeMap<usize, u64>> {
    let places = [
        ("xdp", "esp_known"),
        ("xdp", "not_esp"),
        ("tc_ingress", "cleartext_in"),
        ("tc_ingress", "decrypted"),
    ];
    let count = |(at, (hook, reason))| Ok((at, a.reason(hook, reason)?.iter().sum()));
    places.into_iter().enumerate().map(count).collect()
}

/// The inbound SA goes behind the agent's back, and the peer goes on.
fn forget(stage: &Stage) -> Result<()> {
    let (dst, spi) = (stage.tunnel.outer.server(Side::A), stage.tunnel.spi(Side::A));
    stage.a.netns.ip(&format!("xfrm state delete dst {dst} proto esp spi {spi:#x}"))?;
    until_ok(Duration::from_secs(5), "the agent to notice", || {
        let sas = stage.a.agent()?.metric("esp_sas", &[("tunnel", "lab"), ("direction", "in")])?;
        ensure!(sas == 0, "{sas} SAs");
        Ok(())
    })?;
    // Where the kernel cannot be asked for an SA, no larval one may have the SPI any more.
    let judged = || Ok::<u64, Error>(stage.a.reason("xdp", "unknown_spi")?.iter().sum());
    let before = judged()?;
    until_ok(
        Duration::from_nanos(LARVAL_NS) + Duration::from_secs(30),
        "the picture to rule the SPI out",
        || {
            lost(ping(&stage.lab.client_b, CLIENT_A[0], 1)?)?;
            ensure!(judged()? > before, "not yet");
            Ok(())
        },
    )
}

/// Echo requests from client-b to client-a, as somebody on the way would forge them.
fn forge(stage: &Stage) -> Result<()> {
    let router = Wire::open(&stage.lab.router, "eth5")?;
    let (from, to) = (Ipv4Addr::new(192, 168, 2, 2), Ipv4Addr::new(192, 168, 1, 2));
    let macs = [Ipv4Addr::new(10, 55, 55, 55), Ipv4Addr::new(10, 55, 55, 1)].map(|addr| mac(addr.into()));
    for sequence in 0..PINGS {
        let echo = Payload::icmp_echo(7, u16::try_from(sequence)?, 56);
        router.send(&Frame::v4(&Ipv4::new(from, to), &echo).macs(macs[0], macs[1]).build())?;
    }
    Ok(())
}
