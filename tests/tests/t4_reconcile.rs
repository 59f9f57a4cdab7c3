//! Real SAs that come back, after a flush by another and after a reboot: the peer drops none of their packets as
//! replays, because their sequence numbers go on.

use anyhow::{Result, ensure};
use esp_tests::{
    agent::{Agent, DURABLE, PATIENCE},
    lab::{CLIENT_B, Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, ping, xfrm_stat},
    run,
    wait::until_ok,
};
use std::{path::Path, process::Stdio};

/// More than the replay window, so that a number that starts again is behind it.
const MANY: u32 = 80;
const FEW: u32 = 5;
/// Where an agent of a namespace keeps what ends with the boot.
const STATE: &str = "/run/esp-agent";

#[test]
#[ignore = "T4: root, ESP"]
fn the_peer_takes_every_packet_of_an_sa_that_comes_back() -> Result<()> {
    let lab = Lab::new()?;
    let (mut a, mut b) = (Gateway::new(&lab, Side::A, "")?, Gateway::new(&lab, Side::B, "")?);
    Gateway::start_all([&mut a, &mut b])?;
    for (suite, esn) in [(Suite::Cbc128, false), (Suite::Gcm, true)] {
        let tunnel = Tunnel::new(Outer::V4, suite, Mode::Tunnel)?;
        let more = format!("esn = {esn}\nreplay_window = 64");
        a.reload(&tunnel.config(Side::A, &more))?;
        b.reload(&tunnel.config(Side::B, &more))?;
        traffic(&lab)?;
        flushed(&lab, &a, &b).map_err(|error| error.context(format!("{suite:?}")))?;
    }
    rebooted(&lab, &mut a, &b)
}

/// `ip xfrm state flush` on one gateway, under an agent that repairs.
fn flushed(lab: &Lab, a: &Gateway, b: &Gateway) -> Result<()> {
    let before = replays(a, b)?;
    a.netns.ip("xfrm state flush")?;
    until_ok(PATIENCE, "the repair", || {
        ensure!(a.plan()?["empty"] == true, "not yet: {}", a.agent()?.log());
        Ok(())
    })?;
    let pings = ping(&lab.client_a, CLIENT_B[0], FEW)?;
    ensure!(pings.complete(), "{pings} after the repair; {}", a.netns.ip("-s xfrm state list nokeys")?);
    ensure!(replays(a, b)? == before, "dropped as replays: {before:?}, then {:?}", replays(a, b)?);
    ensure!(a.agent()?.metric("esp_agent_drift_total", &[("kind", "missing"), ("object", "sa")])? >= 2);
    Ok(())
}

/// The kernel is empty, /run too; /var/lib is as it was. And then without it, which is how it would be otherwise.
fn rebooted(lab: &Lab, a: &mut Gateway, b: &Gateway) -> Result<()> {
    traffic(lab)?;
    let before = replays(a, b)?;
    let mut agent = a.take_agent()?;
    ensure!(agent.stop()? == 0, "the agent did not stop");
    let mut agent = reboot(a, &[STATE])?;
    let pings = ping(&lab.client_a, CLIENT_B[0], FEW)?;
    ensure!(pings.complete(), "{pings} after the reboot; {}", a.netns.ip("-s xfrm state list nokeys")?);
    ensure!(replays(a, b)? == before, "dropped as replays: {before:?}, then {:?}", replays(a, b)?);

    agent.kill()?;
    let _agent = reboot(a, &[STATE, DURABLE])?;
    let pings = ping(&lab.client_a, CLIENT_B[0], FEW)?;
    ensure!(pings.received == 0, "{pings}: the numbers were forgotten and yet taken");
    let [_, theirs] = replays(a, b)?;
    ensure!(theirs >= before[1] + u64::from(FEW), "{theirs} replays dropped by the peer, {before:?} before");
    Ok(())
}

/// An agent that has installed all; it may still load its programs.
fn reboot(a: &Gateway, lost: &[&str]) -> Result<Agent> {
    a.netns.ip("xfrm state flush")?;
    a.netns.ip("xfrm policy flush")?;
    a.netns.run_in(|| {
        for dir in lost.iter().map(Path::new).filter(|dir| dir.exists()) {
            std::fs::remove_dir_all(dir)?;
        }
        Ok(())
    })?;
    let agent = a.launch().spawn()?;
    until_ok(PATIENCE, "the installation", || {
        ensure!(a.plan()?["empty"] == true, "not yet: {}", agent.log());
        Ok(())
    })?;
    Ok(agent)
}

/// Packets that either gateway dropped as replays. With ESN such a number counts as one of the next 2^32 (RFC 4303
/// appendix A2), and it is the integrity check that fails.
fn replays(a: &Gateway, b: &Gateway) -> Result<[u64; 2]> {
    let of = |gateway: &Gateway| -> Result<u64> {
        let stat = xfrm_stat(&gateway.netns)?;
        let names = ["XfrmInStateSeqError", "XfrmInStateProtoError"];
        Ok(names.iter().filter_map(|name| stat.get(*name)).sum())
    };
    Ok([of(a)?, of(b)?])
}

/// Echo requests and answers in quick succession.
fn traffic(lab: &Lab) -> Result<()> {
    let mut command = lab.client_a.command("ping");
    command.args(["-n", "-q", "-i", "0.01", "-W", "2", "-c", &MANY.to_string(), &CLIENT_B[0].to_string()]);
    run::text(command.stdin(Stdio::null())).map(drop)
}
