//! The lab's seventh step: a route-based setup at server-a (an XFRM interface with an if_id), policies at server-b.

use anyhow::Result;
use esp_tests::{
    capture::Kind,
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, ping},
};

const PINGS: u32 = 4;

#[test]
#[ignore = "T4: root, ESP"]
fn a_route_into_an_xfrm_interface_speaks_to_policies() -> Result<()> {
    let lab = Lab::new()?;
    let router = lab.watch_router()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    let mut b = Gateway::new(&lab, Side::B, &tunnel.config(Side::B, ""))?;
    let mut a = Gateway::new(&lab, Side::A, &tunnel.config(Side::A, "if_id = 7"))?;
    a.netns.ip("link add ipsec0 type xfrm dev eth5 if_id 7")?;
    a.netns.ip("link set ipsec0 up")?;
    Gateway::start_all([&mut a, &mut b])?;
    assert!(!ping(&lab.client_a, CLIENT_B[0], 1)?.complete(), "without the route nothing is protected");
    a.netns.ip("route add 192.168.2.0/24 dev ipsec0")?;
    router.take()?;

    assert!(ping(&lab.client_a, CLIENT_B[0], PINGS)?.complete());
    assert!(ping(&lab.client_b, CLIENT_A[0], PINGS)?.complete());
    let seen = router.take()?;
    assert_eq!(seen.clear(), 0, "{seen}");
    let all = 2 * u64::from(PINGS);
    for to in Side::BOTH {
        assert_eq!(seen.count(Kind::Esp(tunnel.outer.server(to), tunnel.spi(to))), all, "{seen}");
    }
    for (gateway, here, there) in [(&a, Side::A, Side::B), (&b, Side::B, Side::A)] {
        let flows = [("in", tunnel.spi(here)), ("out", tunnel.spi(there))];
        assert_eq!(gateway.packets(flows)?, [all; 2], "{}", gateway.iface);
        assert_eq!(gateway.agent()?.metric("esp_guard_hits_total", &[])?, 0, "{}", gateway.iface);
        assert_eq!(gateway.plan()?["empty"], true, "{}", gateway.iface);
    }
    // What an SA with an if_id decrypts comes out of the XFRM interface: TC ingress of eth5 does not see it again.
    assert_eq!(a.reason("tc_ingress", "decrypted")?, [0, 0]);
    Ok(())
}
