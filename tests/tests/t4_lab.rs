//! The reference lab's steps with the agent, on real ESP: what each side of it sees, to the packet.

use anyhow::{Context, Result};
use esp_tests::{
    attached,
    capture::{Kind, Traffic},
    lab::{
        CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, moved, ping, xfrm_objects,
        xfrm_stat,
    },
    run,
    wait::until_ok,
};
use std::{path::PathBuf, time::Duration};

const PINGS: u32 = 5;
/// A policy and an SA of somebody else.
const FOREIGN_POLICY: &str = "src 172.16.0.0/16 dst 172.17.0.0/16 dir out";
const FOREIGN_SA: &str = "src 10.55.55.1 dst 10.77.77.1 proto esp spi 0x00abcdef";

fn tunnel() -> Result<Tunnel> {
    Tunnel::new(Outer::V4, Suite::Cbc96, Mode::Tunnel)
}

/// Frames of a kind and their bytes.
fn on_the_wire(traffic: &Traffic, kind: Kind) -> (u64, u64) {
    let frames = traffic.0.iter().filter(|seen| seen.kind == kind);
    frames.fold((0, 0), |(packets, bytes), seen| (packets + 1, bytes + seen.frame.len() as u64))
}

#[test]
#[ignore = "T4: root, ESP"]
fn clear_text_becomes_esp_and_both_gateways_count_what_the_router_sees() -> Result<()> {
    let lab = Lab::new()?;
    let router = lab.watch_router()?;
    lab.start_clear_phase()?;
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    let clear = router.take()?;
    assert_eq!(clear.count(Kind::Echo), 2 * u64::from(PINGS), "{clear}");
    lab.end_clear_phase()?;

    let tunnel = tunnel()?;
    let (mut a, mut b) = (
        Gateway::new(&lab, Side::A, &tunnel.config(Side::A, ""))?,
        Gateway::new(&lab, Side::B, &tunnel.config(Side::B, ""))?,
    );
    Gateway::start_all([&mut a, &mut b])?;
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    assert!(ping(&lab.client_b, CLIENT_A[1], PINGS)?.complete(), "IPv6 inside");
    let seen = router.take()?;
    assert_eq!(seen.clear(), 0, "{seen}");

    for (gateway, here, there) in [(&a, Side::A, Side::B), (&b, Side::B, Side::A)] {
        let scrape = gateway.agent()?.scrape()?;
        for (direction, to) in [("in", here), ("out", there)] {
            let spi = tunnel.spi(to);
            let dst = tunnel.outer.server(to);
            let wire = on_the_wire(&seen, Kind::Esp(dst, spi));
            assert_eq!(wire.0, 2 * u64::from(PINGS), "{seen}");
            let (spi, dst) = (format!("{spi:#010x}"), dst.to_string());
            let labels = [
                ("iface", gateway.iface),
                ("direction", direction),
                ("spi", &spi),
                ("dst", &dst),
                ("tunnel", "lab"),
                ("known", "true"),
            ];
            let sum = |name| scrape.sum(name, &labels).unwrap_or(0);
            assert_eq!((sum("esp_spi_packets_total"), sum("esp_spi_bytes_total")), wire, "{labels:?}");
            let labels = [("tunnel", "lab"), ("direction", direction)];
            let sum = |name| scrape.sum(name, &labels).unwrap_or(0);
            assert_eq!((sum("esp_tunnel_packets_total"), sum("esp_tunnel_bytes_total")), wire, "{labels:?}");
        }
        // What comes out of the SA is known as such, not taken for clear text from outside.
        let inner = 2 * u64::from(PINGS);
        for (hook, reason, packets) in [
            ("xdp", "esp_known", inner),
            ("xdp", "unknown_spi", 0),
            ("tc_ingress", "esp_judged", inner),
            ("tc_ingress", "decrypted", inner),
            ("tc_ingress", "decrypted_unchecked", 0),
            ("tc_ingress", "selector_mismatch", 0),
            ("tc_ingress", "cleartext_in", 0),
            ("tc_egress", "esp_known", inner),
            ("tc_egress", "cleartext_out", 0),
        ] {
            assert_eq!(gateway.reason(hook, reason)?, [packets, 0], "{hook} {reason} {}", gateway.iface);
        }
        assert_eq!(scrape.sum("esp_sas", &[("tunnel", "lab")]), Some(2));
        for fault in ["lost_total", "missing", "late_total", "duplicate_total", "old_total", "restarts_total"]
        {
            let told = scrape.sum(&format!("esp_sequence_{fault}"), &[("tunnel", "lab")]);
            assert_eq!(told, Some(0), "{fault} of {}", gateway.iface);
        }
        assert_eq!(scrape.sum("esp_sequence_window_needed", &[]), Some(2), "one for each SA");
        assert_eq!(scrape.sum("esp_guard_hits_total", &[]).unwrap_or(0), 0);
        assert_eq!(gateway.plan()?["empty"], true, "a second run changes nothing");
    }
    Ok(())
}

#[test]
#[ignore = "T4: root, ESP"]
fn a_missing_fwd_policy_is_counted_mirrored_scraped_and_explained() -> Result<()> {
    let lab = Lab::new()?;
    let tunnel = tunnel()?;
    tunnel.by_hand(&lab.server_b, Side::B)?;
    let mut a =
        Gateway::new(&lab, Side::A, &format!("reconcile = \"report\"\n{}", tunnel.config(Side::A, "")))?;
    a.start()?;
    assert!(ping(&lab.client_a, CLIENT_B[0], 2)?.complete());

    let before = xfrm_stat(&a.netns)?;
    a.netns.ip("xfrm policy delete src 192.168.2.0/24 dst 192.168.1.0/24 dir fwd")?;
    let lost = ping(&lab.client_a, CLIENT_B[0], PINGS)?;
    assert_eq!(lost.received, 0);
    let grown = moved(&before, &xfrm_stat(&a.netns)?);
    assert_eq!(grown.into_iter().collect::<Vec<_>>(), [("XfrmInNoPols".to_owned(), lost.sent)]);

    let mirrored = a.agent()?.wait_metric("esp_xfrm_stat_total", &[("name", "XfrmInNoPols")], lost.sent)?;
    assert_eq!(mirrored, lost.sent);
    let scrape = a.agent()?.scrape()?;
    let names: Vec<_> = scrape.matching("esp_xfrm_stat_total", &[]).map(|s| &s.labels["name"]).collect();
    assert_eq!(names.len(), before.len(), "every counter of this kernel, known or not: {names:?}");

    // `status` reads the kernel itself; the mirror's map is what is left where nobody reads /proc.
    let text = run::text(a.binary.command(&a.netns).arg("status"))?;
    let at = text.lines().position(|line| line.contains("XfrmInNoPols")).context("status is silent")?;
    let hint = text.lines().nth(at + 1).unwrap_or_default();
    assert!(hint.contains("no `fwd` policy"), "{text}");
    Ok(())
}

#[test]
#[ignore = "T4: root, ESP"]
fn detach_leaves_exactly_what_others_made() -> Result<()> {
    let lab = Lab::new()?;
    let foreign = || -> Result<String> {
        let a = &lab.server_a;
        Ok(a.ip(&format!("xfrm state get {}", FOREIGN_SA.replace("0x00", "0x")))?
            + &a.ip(&format!("xfrm policy get {FOREIGN_POLICY}"))?)
    };
    let keys = "mode tunnel auth sha256 0x11111111111111111111111111111111 enc aes 0x22222222222222222222222222222222";
    lab.server_a.ip(&format!("xfrm state add {FOREIGN_SA} {keys}"))?;
    lab.server_a.ip(&format!("xfrm policy add {FOREIGN_POLICY} priority 7"))?;
    let (objects, made) = (xfrm_objects(&lab.server_a)?, foreign()?);

    let tunnel = tunnel()?;
    tunnel.by_hand(&lab.server_b, Side::B)?;
    let mut a = Gateway::new(&lab, Side::A, &tunnel.config(Side::A, ""))?;
    a.start()?;
    assert!(ping(&lab.client_a, CLIENT_B[0], 2)?.complete());
    assert_eq!(attached::programs(&a.netns, a.iface)?.len(), 3);
    let mut agent = a.take_agent()?;
    assert_eq!(agent.stop()?, 0, "{}", agent.log());
    assert!(ping(&lab.client_a, CLIENT_B[0], 2)?.complete(), "the tunnel outlives the agent");

    run::text(a.binary.command(&a.netns).arg("detach"))?;
    assert_eq!(attached::programs(&a.netns, a.iface)?, Vec::<String>::new());
    assert_eq!(attached::pins(&a.netns)?, Vec::<PathBuf>::new());
    // The kernel frees what was deleted a little later.
    until_ok(Duration::from_secs(5), "only the foreign objects to be left", || {
        anyhow::ensure!(xfrm_objects(&a.netns)? == objects, "{}", xfrm_objects(&a.netns)?);
        Ok(())
    })?;
    assert_eq!(foreign()?, made);
    Ok(())
}
