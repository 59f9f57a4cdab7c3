//! What Prometheus makes of the agent, and the mirror of the kernel's own counters.

use anyhow::{Context, Result, ensure};
use esp_agent::procfs::{Proc, ProcFs as _};
use esp_tests::{
    agent::{Agent, PATIENCE, http},
    frame::Payload,
    netns::Netns,
    run,
    site::{GATEWAY, NOWHERE, PEER, Site, inbound},
    wait,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    process::{Child, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const SPI: u32 = 0x1000;
/// Where Prometheus listens, in the gateway's own loopback.
const PROMETHEUS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// The mirror is written every second.
const MIRROR: Duration = Duration::from_secs(2);

#[test]
#[ignore = "T3: root, namespaces, bpf, promtool"]
fn promtool_has_nothing_to_say_about_a_live_scrape() -> Result<()> {
    let (site, agent) = busy()?;
    // A guard hit too, so that no family is missing.
    site.far()?.send(&inbound(&Payload::esp(0xdead_0001, 1, 64)).build())?;
    agent.wait_metric("esp_guard_hits_total", &[], 1)?;
    let mut promtool = site.gateway.command("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().context("failed to start promtool (Debian package prometheus)")?;
    promtool.stdin.take().context("no stdin")?.write_all(agent.scrape()?.text.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf, prometheus"]
fn a_real_prometheus_answers_with_the_rate_of_an_spi() -> Result<()> {
    let (site, agent) = busy()?;
    let _prometheus = Prometheus::start(&site.gateway)?;
    let far = site.far()?;
    // By [10s] a rate is there after two scrapes; the SPI is the one of the SA that the kernel has.
    let query = r#"rate(esp_spi_packets_total{spi="0x00001000",direction="in",known="true"}[10s])"#;
    let rate = wait::until_ok(PATIENCE, "a rate above 0", || {
        for seq in 0..10 {
            far.send(&inbound(&Payload::esp(SPI, seq, 64)).build())?;
        }
        let result = ask(&site.gateway, query)?;
        let rate = result[0]["value"][1].as_str().context("no series yet")?.parse::<f64>()?;
        ensure!(rate > 0.0, "{result}");
        Ok(rate)
    })?;
    assert!(rate.is_finite());
    let up = ask(&site.gateway, "up")?;
    assert_eq!(up[0]["value"][1], "1", "{up}");
    let agreed = ask(&site.gateway, "esp_agent_build_info")?;
    assert_eq!(agreed[0]["metric"]["version"], env!("CARGO_PKG_VERSION"));
    ensure!(agent.get("/ready")?.0 == 200);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn the_mirror_of_xfrm_stat_is_the_kernels_of_this_namespace() -> Result<()> {
    let site = Site::new()?;
    let agent = site.agent()?.start()?;
    let before = kernel(&site)?;
    assert_eq!(mirror(&agent)?, before, "names and values");
    assert!(before.len() > 20 && before.values().all(|value| *value == 0), "{before:?}");

    // What a block policy refuses, three times.
    site.gateway.ip(&format!("xfrm policy add dst {PEER}/32 dir out action block"))?;
    site.gateway.run_in(|| {
        let socket = UdpSocket::bind((GATEWAY, 0))?;
        for _ in 0..3 {
            let refused = socket.send_to(b"x", (PEER, 9));
            ensure!(refused.is_err(), "the kernel sent it");
        }
        Ok(())
    })?;
    assert_eq!(kernel(&site)?["XfrmOutPolBlock"], 3);
    wait::until_ok(MIRROR, "the mirror", || {
        ensure!(mirror(&agent)? == kernel(&site)?, "{:?}", mirror(&agent)?);
        Ok(())
    })?;
    let status = agent.status_json()?;
    let rows = status["xfrm_stat"].as_array().context("no xfrm_stat")?;
    let blocked = rows.iter().find(|row| row["name"] == "XfrmOutPolBlock").context("not in status")?;
    assert_eq!(blocked["value"], 3);
    assert!(blocked["hint"].is_string(), "{blocked}");

    // Another namespace has counters of its own.
    let elsewhere = Proc.xfrm_stat()?.into_iter().collect::<BTreeMap<_, _>>();
    assert_ne!(elsewhere.get("XfrmOutPolBlock"), Some(&3), "the counters of the wrong namespace");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn the_server_tells_alive_from_ready_and_serves_where_it_was_told() -> Result<()> {
    let site = Site::new()?;
    let elsewhere = SocketAddr::from(([127, 0, 0, 1], 19_754));
    let agent = site.agent()?.metrics(elsewhere).start()?;
    assert_eq!(agent.get("/live")?, (200, "live\n".to_owned()));
    assert_eq!(agent.get("/ready")?, (200, "ready\n".to_owned()));
    assert_eq!(agent.get("/nothing")?.0, 404);
    let usual = SocketAddr::from(([127, 0, 0, 1], 9754));
    assert!(http::get(&site.gateway, usual, "/live").is_err(), "it listens at the usual place too");
    Ok(())
}

/// An agent with one SA and some of its packets.
fn busy() -> Result<(Site, Agent)> {
    let site = Site::new()?;
    site.allocate(NOWHERE.into(), GATEWAY.into(), SPI)?;
    let agent = site.agent()?.start()?;
    site.far()?.send(&inbound(&Payload::esp(SPI, 0, 64)).build())?;
    agent.wait_metric("esp_spi_packets_total", &[("spi", "0x00001000")], 1)?;
    Ok((site, agent))
}

fn kernel(site: &Site) -> Result<BTreeMap<String, u64>> {
    site.gateway.run_in(|| Ok(Proc.xfrm_stat()?.into_iter().collect()))
}

fn mirror(agent: &Agent) -> Result<BTreeMap<String, u64>> {
    let scrape = agent.scrape()?;
    let row = |sample: &esp_tests::promtext::Sample| (sample.labels["name"].clone(), sample.value as u64);
    Ok(scrape.matching("esp_xfrm_stat_total", &[]).map(row).collect())
}

/// An instant query; its result.
fn ask(netns: &Netns, query: &str) -> Result<Value> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let (status, body) = http::get(netns, PROMETHEUS, &format!("/api/v1/query?query={escaped}"))?;
    ensure!(status == 200, "{query}: {status} {body}");
    let mut answer: Value = serde_json::from_str(&body)?;
    Ok(answer["data"]["result"].take())
}

/// A server with its data in a directory that goes with it.
struct Prometheus {
    child: Child,
    dir: TempDir,
}

impl Prometheus {
    fn start(netns: &Netns) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("prometheus.yml");
        std::fs::write(
            &config,
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: esp\n  static_configs:\n  - targets: ['127.0.0.1:9754']\n",
        )?;
        let log = std::fs::File::create(dir.path().join("log"))?;
        let mut command = netns.command("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={PROMETHEUS}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = run::tied(&mut command)
            .spawn()
            .with_context(|| format!("failed to start {}", run::line(&command)))?;
        let server = Self { child, dir };
        wait::until_ok(PATIENCE, "Prometheus", || {
            let (status, _) = http::get(netns, PROMETHEUS, "/-/ready")?;
            ensure!(status == 200, "it answers {status}");
            Ok(())
        })
        .with_context(|| std::fs::read_to_string(server.dir.path().join("log")).unwrap_or_default())?;
        Ok(server)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            // A destructor has nobody to return it to.
            eprintln!("failed to end Prometheus {}: {error}", self.child.id());
        }
    }
}
