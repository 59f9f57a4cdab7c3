//! `esp-agent drops`: what was dropped, one by one, with reason and names, also while the agent is down.

use anyhow::{Context as _, Result, ensure};
use esp_tests::{
    agent::{Agent, PATIENCE},
    frame::{Frame, Ipv4, Payload},
    link::mac,
    run,
    site::{GATEWAY, NOWHERE, PEER, Site, inbound},
    wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::Ipv4Addr,
    process::Stdio,
};
use tempfile::NamedTempFile;

const UNKNOWN: u32 = 0xdead_0001;
const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const THEIRS: Ipv4Addr = Ipv4Addr::new(192, 168, 2, 2);
const POLICY: &str = "src 192.168.2.0/24 dst 192.168.1.0/24 dir fwd priority 10";

fn started(site: &Site, samples: &str) -> Result<(Agent, NamedTempFile)> {
    site.gateway.ip(&format!(
        "xfrm policy add {POLICY} tmpl src {PEER} dst {GATEWAY} proto esp reqid 5 mode tunnel"
    ))?;
    let mut config = NamedTempFile::new()?;
    writeln!(config, "[guard]\nunknown_spi = \"enforce\"\ncleartext_in = \"enforce\"\n{samples}")?;
    let agent = site.agent()?.config(config.path()).start()?;
    agent.wait_metric("esp_guards_trusted", &[], 1)?;
    Ok((agent, config))
}

fn dropped(agent: &Agent, reason: &str) -> Result<u64> {
    Ok(agent.scrape()?.sum("esp_packets_total", &[("reason", reason), ("action", "drop")]).unwrap_or(0))
}

/// Sends one frame again and again until so many were dropped: on a kernel that cannot be asked for an SA, an SPI is
/// unknown half a minute after it was first seen.
fn drop_some(site: &Site, agent: &Agent, frame: &[u8], reason: &str, some: u64) -> Result<()> {
    let far = site.far()?;
    wait::until_ok(PATIENCE, "drops", || {
        far.send(frame)?;
        let dropped = dropped(agent, reason)?;
        ensure!(dropped >= some, "{dropped} of {some}");
        Ok(())
    })
}

fn drops(agent: &Agent, args: &[&str]) -> Result<String> {
    let output = agent.beside(&[&["drops"], args].concat())?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

fn lines(text: &str) -> Result<Vec<Value>> {
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn each_dropped_packet_is_told_once_with_reason_and_names() -> Result<()> {
    let site = Site::new()?;
    let (agent, _config) = started(&site, "")?;
    assert_eq!(drops(&agent, &[])?, "");
    drop_some(&site, &agent, &inbound(&Payload::esp(UNKNOWN, 7, 64)).build(), "unknown_spi", 3)?;
    let clear = Frame::v4(&Ipv4::new(THEIRS, OURS), &Payload::tcp(1024, 443, 9));
    let clear = clear.macs(mac(PEER.into()), mac(GATEWAY.into())).build();
    drop_some(&site, &agent, &clear, "cleartext_in", 1)?;

    let told = lines(&drops(&agent, &["--json"])?)?;
    let of = |reason: &str| told.iter().filter(|line| line["reason"] == reason).collect::<Vec<_>>();
    assert_eq!(of("unknown_spi").len() as u64, dropped(&agent, "unknown_spi")?, "{told:#?}");
    assert_eq!(of("cleartext_in").len() as u64, dropped(&agent, "cleartext_in")?, "{told:#?}");
    let (esp, tcp) = (of("unknown_spi")[0], of("cleartext_in")[0]);
    assert_eq!(
        (&esp["iface"], &esp["hook"], &esp["spi"]),
        (&"eth5".into(), &"xdp".into(), &"0xdead0001".into())
    );
    assert_eq!((&esp["src"], &esp["dst"]), (&NOWHERE.to_string().into(), &GATEWAY.to_string().into()));
    assert_eq!((&tcp["sport"], &tcp["dport"], &tcp["proto"]), (&1024.into(), &443.into(), &6.into()));
    ensure!(tcp["policy"].as_str().context("a policy")?.contains("192.168.2.0/24"), "{tcp:#}");
    assert_eq!(drops(&agent, &[])?, "", "they are told once");

    drop_some(&site, &agent, &clear, "cleartext_in", dropped(&agent, "cleartext_in")? + 1)?;
    drop(agent);
    // The ring outlives the agent.
    let text = run::text(esp_tests::agent::Binary::find()?.command(&site.gateway).arg("drops"))?;
    ensure!(text.contains("cleartext_in") && text.contains("192.168.2.2:1024 -> 192.168.1.1:443"), "{text}");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_follower_is_told_at_once_and_reads_alone() -> Result<()> {
    let site = Site::new()?;
    let (agent, _config) = started(&site, "[samples]\nrate = 1000")?;
    let mut command = esp_tests::agent::Binary::find()?.command(&site.gateway);
    let mut follower =
        run::tied(command.args(["drops", "--follow", "--json"]).stdout(Stdio::piped())).spawn()?;
    let mut output = BufReader::new(follower.stdout.take().context("no output")?);
    drop_some(&site, &agent, &inbound(&Payload::esp(UNKNOWN, 7, 64)).build(), "unknown_spi", 1)?;
    let mut line = String::new();
    output.read_line(&mut line)?;
    assert_eq!(serde_json::from_str::<Value>(&line)?["reason"], "unknown_spi");
    let second = agent.beside(&["drops"])?;
    assert_eq!(second.status.code(), Some(64), "{second:?}");
    ensure!(String::from_utf8_lossy(&second.stderr).contains("one reads at a time"), "{second:?}");
    kill(Pid::from_raw(i32::try_from(follower.id())?), Signal::SIGINT)?;
    ensure!(follower.wait()?.success(), "it ends by SIGINT");
    Ok(())
}
