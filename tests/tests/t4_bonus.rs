//! The lab's bonus: an ipip device and transport mode at server-a, tunnel mode at server-b.

use anyhow::Result;
use esp_tests::{
    capture::Kind,
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, ping},
};
use std::collections::BTreeSet;

const PINGS: u32 = 4;

#[test]
#[ignore = "T4: root, ESP"]
fn ipip_with_transport_mode_speaks_to_tunnel_mode() -> Result<()> {
    let lab = Lab::new()?;
    let router = lab.watch_router()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Cbc96, Mode::Tunnel)?;
    let mut b = Gateway::new(&lab, Side::B, &tunnel.config(Side::B, ""))?;
    let mut a = Gateway::new(&lab, Side::A, &tunnel.config(Side::A, ""))?;
    Gateway::start_all([&mut a, &mut b])?;
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    let lengths = |tunnel: &Tunnel| -> Result<BTreeSet<usize>> {
        let seen = router.take()?;
        let kinds = Side::BOTH.map(|to| Kind::Esp(tunnel.outer.server(to), tunnel.spi(to)));
        assert_eq!(kinds.map(|kind| seen.count(kind)), [u64::from(PINGS); 2], "{seen}");
        assert_eq!(seen.clear(), 0, "{seen}");
        Ok(seen.0.iter().filter(|seen| kinds.contains(&seen.kind)).map(|seen| seen.frame.len()).collect())
    };
    let with_tunnel_mode = lengths(&tunnel)?;

    let (local, remote) = (tunnel.outer.server(Side::A), tunnel.outer.server(Side::B));
    a.netns.ip(&format!("link add ipip0 type ipip local {local} remote {remote}"))?;
    a.netns.ip("link set ipip0 up")?;
    a.netns.ip("route add 192.168.2.0/24 dev ipip0")?;
    // With other SAs: new ones under the old keys would start their sequence numbers again, and be taken for a replay.
    let tunnel = Tunnel::new(Outer::V4, Suite::Cbc96, Mode::Tunnel)?;
    a.reload(&tunnel.in_mode(Mode::Transport).config(Side::A, "protocol = \"ipip\""))?;
    b.reload(&tunnel.config(Side::B, ""))?;
    let (before_a, before_b) = (a.reason("tc_ingress", "decrypted")?, b.reason("tc_ingress", "decrypted")?);
    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    assert_eq!(lengths(&tunnel)?, with_tunnel_mode, "the wire does not tell the two apart");
    assert!(ping(&lab.client_b, CLIENT_A[0], PINGS)?.complete());
    assert_eq!(router.take()?.clear(), 0);

    let all = 2 * u64::from(PINGS);
    for (gateway, here, there) in [(&a, Side::A, Side::B), (&b, Side::B, Side::A)] {
        let flows = [("in", tunnel.spi(here)), ("out", tunnel.spi(there))];
        assert_eq!(gateway.packets(flows)?, [all; 2], "{}", gateway.iface);
        assert_eq!(gateway.agent()?.metric("esp_guard_hits_total", &[])?, 0, "{}", gateway.iface);
        assert_eq!(gateway.plan()?["empty"], true, "{}", gateway.iface);
    }
    // A packet in transport mode goes on up from where it was decrypted: it does not pass TC ingress again.
    assert_eq!(a.reason("tc_ingress", "decrypted")?, before_a);
    assert_eq!(b.reason("tc_ingress", "decrypted")?, [before_b[0] + all, 0]);
    Ok(())
}
