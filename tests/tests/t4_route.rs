//! Route-based at server-a, policies at server-b: the agent makes the XFRM interface with its addresses and routes,
//! brings it back, and takes it away; and the lab's seventh step, where the operator makes it.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::PATIENCE,
    capture::{Capture, Kind},
    lab::{CLIENT_A, CLIENT_B, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, ping, xfrm_objects},
    run,
    wait::until_ok,
};

const PINGS: u32 = 2;
/// All of the route-based side; 1446 is what AES-GCM leaves of 1500 bytes.
const INTERFACE: &str = "interface = \"ipsec0\"\naddress = [\"10.255.0.1/30\", \"fd00:255::1/64\"]";
/// What the routes do not take stays here.
const BACKSTOP: &str = "[[discard]]\nremote_net = [\"192.168.2.0/24\", \"fd00:2::/64\"]\ndirection = \"out\"\n\
                        interface = \"eth5\"\n";

#[test]
#[ignore = "T4: root, ESP"]
fn the_agent_makes_the_interface_brings_it_back_and_takes_it_away() -> Result<()> {
    let lab = Lab::new()?;
    let router = lab.watch_router()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    let mut b = Gateway::new(&lab, Side::B, &tunnel.config(Side::B, ""))?;
    let config = tunnel.config(Side::A, INTERFACE) + BACKSTOP;
    let mut a = Gateway::new(&lab, Side::A, &config)?;
    let before = network(&a)?;
    refused_beside_a_stranger(&a)?;
    ensure!(network(&a)? == before, "something was left: {}", network(&a)?);

    Gateway::start_all([&mut a, &mut b])?;
    let link = a.netns.ip("-d link show ipsec0")?;
    ensure!(link.contains("mtu 1446") && link.contains("xfrm if_id 0x4553"), "{link}");
    let made = network(&a)?;
    for part in ["10.255.0.1/30", "fd00:255::1/64", "192.168.2.0/24 dev ipsec0", "fd00:2::/64 dev ipsec0"] {
        ensure!(made.contains(part), "{part} is missing: {made}");
    }
    passes(&lab, &router, [&a, &b], &tunnel)?;
    // What an SA with an if_id decrypts comes out of the XFRM interface: TC ingress of eth5 does not see it again.
    assert_eq!(a.reason("tc_ingress", "decrypted")?, [0, 0]);

    for undo in [
        "link delete ipsec0",
        "link set ipsec0 down",
        "link set ipsec0 mtu 1400",
        "address delete 10.255.0.1/30 dev ipsec0",
        "route delete 192.168.2.0/24 dev ipsec0",
        "-6 route delete fd00:2::/64 dev ipsec0",
    ] {
        a.netns.ip(undo)?;
        brought_back(&a, &made).with_context(|| undo.to_owned())?;
        // Said anew what is wanted: no repair waits for the ones before it.
        a.reload(&config)?;
    }
    left_to_a_stranger(&lab, &router, &a, &made)?;
    passes(&lab, &router, [&a, &b], &tunnel)?;

    a.take_agent()?.kill()?;
    a.netns.ip("link delete ipsec0")?;
    a.write(
        &tunnel.config(Side::A, &format!("{INTERFACE}\nif_id = 9\nmtu = 1300\nroute = \"192.168.2.0/24\"")),
    )?;
    a.start()?;
    let link = a.netns.ip("-d link show ipsec0")?;
    ensure!(link.contains("mtu 1300") && link.contains("xfrm if_id 0x9"), "{link}");
    a.reload(&tunnel.config(Side::A, &format!("{INTERFACE}\nif_id = 11")))?;
    passes(&lab, &router, [&a, &b], &tunnel)?;

    ensure!(a.take_agent()?.stop()? == 0, "the agent did not stop");
    run::text(a.binary.command(&a.netns).arg("detach"))?;
    ensure!(network(&a)? == before, "{} instead of {before}", network(&a)?);
    ensure!(xfrm_objects(&a.netns)?.is_empty(), "{}", xfrm_objects(&a.netns)?);
    Ok(())
}

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
    a.netns.ip("route add fd00:2::/64 dev ipsec0")?;
    passes(&lab, &router, [&a, &b], &tunnel)
}

/// An interface of that name which others made, of another kind: nothing is changed at all.
fn refused_beside_a_stranger(a: &Gateway) -> Result<()> {
    a.netns.ip("link add ipsec0 type veth peer name other")?;
    let mut command = a.binary.command(&a.netns);
    command.args(["run", "--iface", a.iface, "-c"]).arg(a.config_path());
    let output = run::output(&mut command)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success(), "it runs: {said}");
    ensure!(
        said.contains("link ipsec0 (lab) is there, not made by this agent, and differs in kind"),
        "{said}"
    );
    ensure!(xfrm_objects(&a.netns)?.is_empty(), "{}", xfrm_objects(&a.netns)?);
    a.netns.ip("link delete ipsec0")?;
    Ok(())
}

/// Pings of both families both ways go as ESP, each counted, and a second run changes nothing.
fn passes(lab: &Lab, router: &Capture, gateways: [&Gateway; 2], tunnel: &Tunnel) -> Result<()> {
    let flows = |at: Side| [("in", tunnel.spi(at)), ("out", tunnel.spi(at.other()))];
    let counted = || -> Result<[u64; 4]> {
        let [[a, b], [c, d]] = [gateways[0].packets(flows(Side::A))?, gateways[1].packets(flows(Side::B))?];
        Ok([a, b, c, d])
    };
    // Neighbours are found before anything is counted.
    for (from, to) in [(&lab.client_a, CLIENT_B), (&lab.client_b, CLIENT_A)] {
        for to in to {
            ping(from, to, 1)?;
        }
    }
    router.take()?;
    let before = counted()?;
    for (from, to) in [(&lab.client_a, CLIENT_B), (&lab.client_b, CLIENT_A)] {
        for to in to {
            let pings = ping(from, to, PINGS)?;
            ensure!(pings.complete(), "{pings} to {to}");
        }
    }
    let seen = router.take()?;
    ensure!(seen.clear() == 0, "in the clear: {seen}");
    let all = 4 * u64::from(PINGS);
    for to in Side::BOTH {
        ensure!(seen.count(Kind::Esp(tunnel.outer.server(to), tunnel.spi(to))) == all, "{seen}");
    }
    let after = counted()?;
    ensure!(
        after.iter().zip(before).all(|(after, before)| after - before == all),
        "{before:?}, then {after:?}"
    );
    for gateway in gateways {
        ensure!(
            gateway.agent()?.metric("esp_guard_hits_total", &[])? == 0,
            "a guard hit at {}",
            gateway.iface
        );
        let plan = gateway.plan()?;
        ensure!(plan["empty"] == true, "a second run would change {plan:#}");
    }
    Ok(())
}

/// A route of another program in place of ours is told and stays until that program takes it away.
fn left_to_a_stranger(lab: &Lab, router: &Capture, a: &Gateway, made: &str) -> Result<()> {
    router.take()?;
    a.netns.ip("route replace 192.168.2.0/24 via 10.55.55.55")?;
    a.agent()?.wait_metric("esp_agent_repairs_total", &[("result", "failed")], 1)?;
    let route = a.netns.ip("route show 192.168.2.0/24")?;
    ensure!(route.contains("via 10.55.55.55") && !route.contains("ipsec0"), "{route}");
    ensure!(a.agent()?.log().contains("there is a route to it with this metric"), "{}", a.agent()?.log());
    let pings = ping(&lab.client_a, CLIENT_B[0], 1)?;
    let seen = router.take()?;
    ensure!(pings.received == 0 && seen.clear() == 0, "in the clear: {pings}; {seen}");
    a.netns.ip("route delete 192.168.2.0/24 via 10.55.55.55")?;
    brought_back(a, made)
}

fn brought_back(a: &Gateway, made: &str) -> Result<()> {
    until_ok(PATIENCE, "the interface to be as it was", || {
        let now = network(a)?;
        ensure!(now == made, "{now}\ninstead of\n{made}\n{}", a.agent()?.log());
        Ok(())
    })
}

/// Interfaces with their MTU, addresses and routes, without what changes from one making to the next.
fn network(a: &Gateway) -> Result<String> {
    let links = a.netns.ip("-brief link")?;
    let links: Vec<&str> = links.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let mtu: String = match a.netns.ip("-o link show ipsec0") {
        Ok(text) => text.split_whitespace().skip_while(|word| *word != "mtu").take(2).collect(),
        Err(_) => String::new(),
    };
    let addresses = a.netns.ip("-brief address show scope global")?;
    let routes = a.netns.ip("route")? + &a.netns.ip("-6 route")?;
    let routes: Vec<&str> =
        routes.lines().filter(|line| !line.contains("fe80::")).map(str::trim_end).collect();
    Ok(format!("{links:?}\n{mtu}\n{addresses}{}", routes.join("\n")))
}
