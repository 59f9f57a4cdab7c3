//! Programs come to the interfaces that were asked for and go without a trace; what others have there stays.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::{Agent, Binary, PATIENCE},
    attached,
    foreign::Foreigner,
    frame::Payload,
    probe, run,
    site::{FAR_END, GATEWAY, NOWHERE, OUTSIDE, PEER, Site, inbound},
    wait,
};
use std::{process::Output, time::Duration};

const SPI: u32 = 0x1000;
/// A start that fails says so at once; the rest is for a busy machine.
const REFUSAL: Duration = Duration::from_secs(30);

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn attach_and_detach_leave_nothing_behind_and_others_alone() -> Result<()> {
    for (mode, xdp) in [("native", Some("native")), ("generic", Some("generic")), ("tc", None)] {
        let site = Site::new()?;
        let mut foreigner = Foreigner::load()?;
        let copies = if probe::tc()? == "tcx" {
            foreigner.tcx(&site.gateway, OUTSIDE)?;
            1
        } else {
            0
        };
        furnish(&site)?;
        let before = footprint(&site)?;

        let mut agent = site.agent()?.arg("--attach").arg(mode).start()?;
        let status = agent.status_json()?;
        let iface = &status["interfaces"][0];
        assert_eq!(iface["name"], OUTSIDE);
        assert_eq!((&iface["attached"], &iface["tc"]), (&true.into(), &probe::tc()?.into()));
        assert_eq!(iface["xdp"].as_str(), xdp, "{mode}");
        let programs = attached::programs(&site.gateway, OUTSIDE)?;
        let count = |name: &str| programs.iter().filter(|program| program.contains(name)).count();
        let counts = ["xdp", "esp_tc_in", "esp_tc_out"].map(count);
        assert_eq!(counts, [usize::from(xdp.is_some()), 1 + copies, 1], "{mode}: {programs:#?}");
        assert_eq!(agent.stop()?, 0);

        let detached = detach(&site)?;
        let said = String::from_utf8_lossy(&detached.stdout).into_owned();
        ensure!(detached.status.success() && said.contains("programs on eth5"), "{detached:?}");
        expect_same(&site, &before).context(mode)?;
        assert!(detach(&site)?.status.success(), "a second time there is nothing to do");
        expect_same(&site, &before).context(mode)?;
    }
    Ok(())
}

/// A native program for one buffer is refused at this MTU: the driver needs the one for several.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn jumbo_frames_are_counted_to_the_byte_in_every_mode() -> Result<()> {
    const MTU: u32 = 9_000;
    const SIZES: [usize; 5] = [64, 1_400, 3_000, 5_000, 8_900];
    for (mode, hook) in [("native", "xdp"), ("auto", "xdp"), ("generic", "xdp"), ("tc", "tc_ingress")] {
        let site = Site::new()?;
        site.allocate(NOWHERE.into(), GATEWAY.into(), SPI)?;
        site.gateway.ip(&format!("link set {OUTSIDE} mtu {MTU}"))?;
        site.peer.ip(&format!("link set {FAR_END} mtu {MTU}"))?;
        let (far, mut bytes) = (site.far()?, 0);
        // The second one finds the link of the first.
        for run in 1..=2_u64 {
            let mut agent = site.agent()?.arg("--attach").arg(mode).start()?;
            let iface = agent.status_json()?["interfaces"][0].clone();
            let native = mode == "native" || mode == "auto";
            ensure!(
                (iface["xdp"] == "native") == native && iface["note"] == "",
                "{mode}, run {run}: {iface:#}"
            );
            for (seq, size) in (1..).zip(SIZES) {
                let frame = inbound(&Payload::esp(SPI, seq + u32::try_from(run)? * 10, size)).build();
                bytes += frame.len() as u64;
                far.send(&frame)?;
            }
            let labels = [("hook", hook), ("reason", "esp_known"), ("action", "pass")];
            let sent = SIZES.len() as u64 * run;
            agent
                .wait_metric("esp_packets_total", &labels, sent)
                .with_context(|| format!("{mode}, run {run}"))?;
            assert_eq!(agent.metric("esp_packets_total", &labels)?, sent, "{mode}, run {run}");
            assert_eq!(agent.metric("esp_packet_bytes_total", &labels)?, bytes, "{mode}, run {run}");
            assert_eq!(agent.stop()?, 0);
        }
    }
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn teardown_on_exit_leaves_nothing_behind_either() -> Result<()> {
    let site = Site::new()?;
    furnish(&site)?;
    let before = footprint(&site)?;
    let mut agent = site.agent()?.arg("--teardown").start()?;
    assert_ne!(footprint(&site)?, before);
    assert_eq!(agent.stop()?, 0);
    expect_same(&site, &before)?;
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_second_agent_is_refused_and_told_who_is_there() -> Result<()> {
    let site = Site::new()?;
    let agent = site.agent()?.start()?;
    let before = footprint(&site)?;
    for args in [&["run", "--iface", OUTSIDE][..], &["detach"]] {
        let second = agent.beside(args)?;
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains(&format!("in use by process {}", agent.pid())), "{args:?}: {said}");
    }
    expect_same(&site, &before)?;
    assert_eq!(agent.get("/ready")?.0, 200);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_foreign_xdp_program_is_named_and_not_touched() -> Result<()> {
    let site = Site::new()?;
    let mut foreigner = Foreigner::load()?;
    let id = foreigner.xdp(&site.gateway, OUTSIDE)?;
    let before = footprint(&site)?;
    assert!(link(&site)?.contains(&format!("prog/xdp id {id}")), "{}", link(&site)?);
    for mode in ["auto", "generic"] {
        let mut agent = site.agent()?.arg("--attach").arg(mode).spawn()?;
        assert_eq!(agent.wait_exit(REFUSAL)?, 1, "{mode}: {}", agent.log());
        for said in [format!("\"esp_empty\" (id {id})"), "--attach tc".into(), OUTSIDE.into()] {
            assert!(agent.log().contains(&said), "{mode}: {said} is not said:\n{}", agent.log());
        }
        expect_same(&site, &before).context(mode)?;
    }

    let mut agent = site.agent()?.arg("--attach").arg("tc").start()?;
    site.far()?.send(&inbound(&Payload::esp(SPI, 1, 64)).build())?;
    agent.wait_metric("esp_spi_packets_total", &[("spi", "0x00001000")], 1)?;
    assert!(link(&site)?.contains(&format!("prog/xdp id {id}")), "{}", link(&site)?);
    assert_eq!(agent.stop()?, 0);
    assert!(detach(&site)?.status.success());
    expect_same(&site, &before)?;
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn an_interface_that_is_not_there_is_an_error_and_nothing_is_set_up() -> Result<()> {
    let site = Site::new()?;
    let before = footprint(&site)?;
    let mut agent = site.agent()?.iface("eth9").spawn()?;
    assert_eq!(agent.wait_exit(REFUSAL)?, 1);
    assert!(agent.log().contains("failed to find interface eth9"), "{}", agent.log());
    expect_same(&site, &before)?;
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn an_interface_that_goes_away_is_noted_and_attached_again_when_it_is_back() -> Result<()> {
    let site = Site::new()?;
    let agent = site.agent()?.start()?;
    site.far()?.send(&inbound(&Payload::esp(SPI, 1, 64)).build())?;
    let flow = [("iface", OUTSIDE), ("spi", "0x00001000")];
    agent.wait_metric("esp_spi_packets_total", &flow, 1)?;

    for round in 1..=2 {
        site.gateway.ip(&format!("link delete {OUTSIDE}"))?;
        wait_attached(&agent, false)?;
        assert!(agent.log().contains("interface eth5 is gone"), "{}", agent.log());
        site.plug()?;
        wait_attached(&agent, true)?;
        site.far()?.send(&inbound(&Payload::esp(SPI, 2, 64)).build())?;
        let counted = agent.wait_metric("esp_spi_packets_total", &flow, round + 1)?;
        assert_eq!(counted, round + 1, "the counts go on");
    }
    assert_eq!(agent.get("/live")?.0, 200);
    Ok(())
}

/// bpffs takes no dots in names; VLAN interfaces have them.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn an_interface_with_a_dot_in_its_name_and_one_beside_it() -> Result<()> {
    let site = Site::new()?;
    site.gateway.ip("link add eth5.7 type veth peer name far7")?;
    site.gateway.ip("link set eth5.7 up")?;
    let before = footprint(&site)?;
    let mut agent = site.agent()?.iface("eth5.7").start()?;
    for iface in [OUTSIDE, "eth5.7"] {
        let attached = [("iface", iface), ("mode", "native")];
        assert_eq!(agent.metric("esp_agent_datapath_attached", &attached)?, 1, "{iface}");
    }
    assert_eq!(agent.stop()?, 0);
    let again = site.agent()?.iface("eth5.7").start()?;
    assert_eq!(again.metric("esp_agent_datapath_attached", &[("mode", probe::tc()?)])?, 2);
    drop(again);
    assert!(detach(&site)?.status.success());
    expect_same(&site, &before)?;
    Ok(())
}

/// What others may have on a gateway: policies, larval SAs, a qdisc with a filter, pins.
fn furnish(site: &Site) -> Result<()> {
    site.gateway.ip(&format!(
        "xfrm policy add src 10.9.0.0/16 dst 10.8.0.0/16 dir out tmpl src {GATEWAY} dst {PEER} proto esp mode tunnel"
    ))?;
    site.allocate(NOWHERE.into(), GATEWAY.into(), 0x9999)?;
    for args in [
        format!("tc qdisc add dev {OUTSIDE} clsact"),
        format!("tc filter add dev {OUTSIDE} ingress prio 50 protocol all u32 match u32 0 0 classid 1:1"),
        "mkdir /sys/fs/bpf/kept /run/kept".into(),
    ] {
        let (program, args) = args.split_once(' ').context("no arguments")?;
        run::text(site.gateway.command(program).args(args.split(' ')))?;
    }
    Ok(())
}

/// All that a namespace shows of what an agent does to it.
fn footprint(site: &Site) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for line in [
        "ip -o -details link".to_owned(),
        "ip xfrm policy".to_owned(),
        "ip xfrm state".to_owned(),
        format!("tc qdisc show dev {OUTSIDE}"),
        format!("tc filter show dev {OUTSIDE} ingress"),
        format!("tc filter show dev {OUTSIDE} egress"),
        "find /sys/fs/bpf /run".to_owned(),
    ] {
        let (program, args) = line.split_once(' ').context("no arguments")?;
        let output = run::text(site.gateway.command(program).args(args.split(' ')))?;
        found.push(format!("{line}:\n{output}"));
    }
    found.push(format!("programs:\n{:#?}", attached::programs(&site.gateway, OUTSIDE)?));
    Ok(found)
}

fn expect_same(site: &Site, before: &[String]) -> Result<()> {
    for (now, before) in footprint(site)?.iter().zip(before) {
        ensure!(now == before, "not as it was: {now}\nbefore: {before}");
    }
    Ok(())
}

fn link(site: &Site) -> Result<String> {
    site.gateway.ip(&format!("-details link show dev {OUTSIDE}"))
}

fn detach(site: &Site) -> Result<Output> {
    run::output(Binary::find()?.command(&site.gateway).arg("detach"))
}

fn wait_attached(agent: &Agent, attached: bool) -> Result<()> {
    wait::until_ok(PATIENCE, "the datapath", || {
        let modes = agent.metric("esp_agent_datapath_attached", &[("iface", OUTSIDE)])?;
        ensure!(modes == if attached { 2 } else { 0 }, "attached in {modes} modes:\n{}", agent.log());
        Ok(())
    })
}
