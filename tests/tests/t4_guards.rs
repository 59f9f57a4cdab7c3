//! The guards with real decryption, each in `observe` and in `enforce`, and the facts about the kernel's hooks that
//! they rest on.

use anyhow::{Result, ensure};
use esp_tests::{
    capture::Kind,
    frame::{Frame, Ipv4, Payload},
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Ping, Side, Suite, Tunnel, moved, ping, xfrm_stat},
    link::mac,
    wait::until_ok,
    wire::Wire,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const PINGS: u32 = 4;

/// A lab with the agent on server-a and the peer's side by hand.
struct Stage {
    lab: Lab,
    tunnel: Tunnel,
    a: Gateway,
}

impl Stage {
    fn new(guard: &str, launch: &[&str]) -> Result<Self> {
        let lab = Lab::new()?;
        let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
        tunnel.by_hand(&lab.server_b, Side::B)?;
        let mut a = Gateway::new(&lab, Side::A, &config(&tunnel, guard, "observe"))?;
        a.start_with(launch)?;
        Ok(Self { lab, tunnel, a })
    }

    fn enforce(&self, guard: &str) -> Result<()> {
        self.a.reload(&config(&self.tunnel, guard, "enforce"))
    }

    /// What the kernel's own counters at server-a gain by some work.
    fn kernel_drops(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<(String, u64)>> {
        let before = xfrm_stat(&self.a.netns)?;
        work()?;
        Ok(moved(&before, &xfrm_stat(&self.a.netns)?).into_iter().collect())
    }
}

fn config(tunnel: &Tunnel, guard: &str, mode: &str) -> String {
    format!("[guard]\n{guard} = \"{mode}\"\n{}", tunnel.config(Side::A, ""))
}

fn lost(ping: Ping) -> Result<()> {
    ensure!(ping.received == 0, "{ping}");
    Ok(())
}

#[test]
#[ignore = "T4: root, ESP"]
fn what_comes_out_of_an_sa_outside_its_selectors_is_a_mismatch() -> Result<()> {
    let stage = Stage::new("selectors", &[])?;
    let (lab, a) = (&stage.lab, &stage.a);
    // A peer whose policy is broader than ours: it sends from a network that we have not agreed on.
    lab.server_b.ip("address add 192.168.99.1/32 dev lo")?;
    lab.server_b.ip("route add 192.168.1.0/24 via 10.66.66.66 src 192.168.99.1")?;
    let template = stage.tunnel.template(Side::A);
    lab.server_b.ip(&format!("xfrm policy add src 192.168.99.0/24 dst 192.168.1.0/24 dir out {template}"))?;
    let from_outside_the_selectors = || lost(ping(&lab.server_b, CLIENT_A[0], PINGS)?);

    let drops = stage.kernel_drops(from_outside_the_selectors)?;
    assert_eq!(drops, [("XfrmInNoPols".to_owned(), u64::from(PINGS))]);
    assert_eq!(a.reason("tc_ingress", "selector_mismatch")?, [u64::from(PINGS), 0]);

    stage.enforce("selectors")?;
    assert_eq!(stage.kernel_drops(from_outside_the_selectors)?, []);
    assert_eq!(a.reason("tc_ingress", "selector_mismatch")?, [u64::from(PINGS); 2]);
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete(), "what is inside still passes");
    assert_eq!(a.reason("tc_ingress", "decrypted")?, [u64::from(PINGS), 0]);
    hits(a, "selectors", "lab/in")
}

#[test]
#[ignore = "T4: root, ESP"]
fn clear_text_from_the_protected_network_is_told_from_what_was_decrypted() -> Result<()> {
    let stage = Stage::new("cleartext_in", &[])?;
    let (lab, a) = (&stage.lab, &stage.a);
    let router = Wire::open(&lab.router, "eth5")?;
    let clear = || send_clear(&router);
    // The same inner addresses as the ping's below: only the secpath differs.
    let drops = stage.kernel_drops(clear)?;
    assert_eq!(drops, [("XfrmInTmplMismatch".to_owned(), u64::from(PINGS))]);
    assert_eq!(a.reason("tc_ingress", "cleartext_in")?, [u64::from(PINGS), 0]);

    stage.enforce("cleartext_in")?;
    assert_eq!(stage.kernel_drops(clear)?, []);
    assert_eq!(a.reason("tc_ingress", "cleartext_in")?, [u64::from(PINGS); 2]);
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete(), "what was decrypted still passes");
    assert_eq!(a.reason("tc_ingress", "decrypted")?, [u64::from(PINGS), 0]);
    hits(a, "cleartext_in", "lab/fwd")
}

#[test]
#[ignore = "T4: root, ESP"]
fn a_leak_is_seen_and_stopped() -> Result<()> {
    let stage = Stage::new("cleartext_out", &[])?;
    let (lab, a) = (&stage.lab, &stage.a);
    let router = lab.watch_router()?;
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    assert_eq!(a.reason("tc_egress", "cleartext_out")?, [0, 0]);
    // The policy stands and is not asked: a perfect leak.
    a.netns.sysctl("net/ipv4/conf/eth5/disable_xfrm", "1")?;
    router.take()?;
    lost(ping(&lab.client_a, CLIENT_B[0], PINGS)?)?;
    assert_eq!(router.take()?.count(Kind::Echo), u64::from(PINGS), "the router reads it");
    assert_eq!(a.reason("tc_egress", "cleartext_out")?, [u64::from(PINGS), 0]);

    stage.enforce("cleartext_out")?;
    lost(ping(&lab.client_a, CLIENT_B[0], PINGS)?)?;
    assert_eq!(router.take()?.count(Kind::Echo), 0);
    assert_eq!(a.reason("tc_egress", "cleartext_out")?, [u64::from(PINGS); 2]);
    hits(a, "cleartext_out", "lab/out")?;

    a.netns.sysctl("net/ipv4/conf/eth5/disable_xfrm", "0")?;
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    Ok(())
}

#[test]
#[ignore = "T4: root, ESP"]
fn esp_of_an_sa_that_is_gone_is_an_unknown_spi() -> Result<()> {
    let stage = Stage::new("unknown_spi", &[])?;
    let (lab, a) = (&stage.lab, &stage.a);
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    let peer_goes_on = || lost(ping(&lab.client_b, CLIENT_A[0], PINGS)?);

    forget_inbound(&stage)?;
    let drops = stage.kernel_drops(peer_goes_on)?;
    assert_eq!(drops, [("XfrmInNoStates".to_owned(), u64::from(PINGS))]);
    assert_eq!(a.reason("xdp", "unknown_spi")?, [u64::from(PINGS), 0]);

    // The reload brings the SA back; it goes again.
    stage.enforce("unknown_spi")?;
    forget_inbound(&stage)?;
    assert_eq!(stage.kernel_drops(peer_goes_on)?, []);
    assert_eq!(a.reason("xdp", "unknown_spi")?, [u64::from(PINGS); 2]);
    let spi = format!("{:#010x}", stage.tunnel.spi(Side::A));
    let ghost = [("direction", "in"), ("spi", &spi), ("known", "false")];
    assert_eq!(a.agent()?.metric("esp_spi_packets_total", &ghost)?, 2 * u64::from(PINGS));
    Ok(())
}

/// After tunnel-mode decryption the packet comes in once more on the same interface: generic XDP and TC ingress see
/// it again, native XDP does not. TC tells it from clear text by `bpf_skb_get_xfrm_state`.
#[test]
#[ignore = "T4: root, ESP"]
fn which_hooks_see_a_decrypted_packet() -> Result<()> {
    let mut stage = Stage::new("selectors", &["--attach", "native"])?;
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

/// Deletes the inbound SA behind the agent's back, and waits until the agent has noticed.
fn forget_inbound(stage: &Stage) -> Result<()> {
    let (dst, spi) = (stage.tunnel.outer.server(Side::A), stage.tunnel.spi(Side::A));
    stage.a.netns.ip(&format!("xfrm state delete dst {dst} proto esp spi {spi:#x}"))?;
    until_ok(Duration::from_secs(5), "the agent to notice", || {
        let sas = stage.a.agent()?.metric("esp_sas", &[("tunnel", "lab"), ("direction", "in")])?;
        ensure!(sas == 0, "{sas} SAs");
        Ok(())
    })
}

/// Echo requests from client-b to client-a, as somebody on the way would forge them.
fn send_clear(router: &Wire) -> Result<()> {
    let [from, to] = [CLIENT_B[0], CLIENT_A[0]].map(|addr| match addr {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    });
    let macs = [Ipv4Addr::new(10, 55, 55, 55), Ipv4Addr::new(10, 55, 55, 1)].map(|addr| mac(addr.into()));
    for sequence in 0..PINGS {
        let echo = Payload::icmp_echo(7, u16::try_from(sequence)?, 56);
        router.send(&Frame::v4(&Ipv4::new(from, to), &echo).macs(macs[0], macs[1]).build())?;
    }
    Ok(())
}

/// The guard's hits, one set in each mode, under the name of the policy.
fn hits(a: &Gateway, guard: &str, policy: &str) -> Result<()> {
    let scrape = a.agent()?.scrape()?;
    for mode in ["observe", "enforce"] {
        let labels = [("guard", guard), ("mode", mode), ("policy", policy)];
        let hits = scrape.sum("esp_guard_hits_total", &labels);
        ensure!(hits == Some(u64::from(PINGS)), "{labels:?}: {hits:?} in {}", scrape.text);
    }
    Ok(())
}
