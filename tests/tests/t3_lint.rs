//! `status` names what is unwise in the kernel's own policies, whoever put them there, and falls silent when it is mended.

use anyhow::{Context, Result, ensure};
use esp_tests::site::{GATEWAY, PEER, Site};
use std::collections::BTreeSet;

const NEAR: &str = "192.168.1.0/24";
const FAR: &str = "192.168.2.0/24";

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn policies_that_cannot_work_are_named_until_they_do() -> Result<()> {
    let site = Site::new()?;
    let agent = site.agent()?.start()?;
    let lints = || -> Result<BTreeSet<(String, String)>> {
        let status = agent.status_json()?;
        let all = status["lints"].as_array().context("no lints")?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).context("no text");
        all.iter().map(|lint| Ok((text(&lint["code"])?, text(&lint["object"])?))).collect()
    };
    let named = |found: &BTreeSet<(String, String)>| -> BTreeSet<String> {
        found.iter().map(|(code, _)| code.clone()).collect()
    };
    ensure!(lints()?.is_empty(), "{:?}", lints()?);

    // Out alone: no SA, no way back.
    policy(&site, "out", NEAR, FAR, 10)?;
    ensure!(named(&lints()?) == ["no-state".to_owned(), "no-way-back".to_owned()].into(), "{:?}", lints()?);

    // The way back for this host, while it forwards.
    site.gateway.sysctl("net/ipv4/ip_forward", "1")?;
    policy(&site, "in", FAR, NEAR, 10)?;
    ensure!(named(&lints()?) == ["missing-fwd".to_owned(), "no-state".to_owned()].into(), "{:?}", lints()?);
    policy(&site, "fwd", FAR, NEAR, 10)?;
    ensure!(named(&lints()?) == ["no-state".to_owned()].into(), "{:?}", lints()?);

    // A narrower one behind a wider one.
    policy(&site, "out", "192.168.1.0/25", FAR, 20)?;
    let found = lints()?;
    let shadowed = found.iter().find(|(code, _)| code == "shadowed-policy");
    ensure!(shadowed.is_some_and(|(_, object)| object.contains("192.168.1.0/25")), "{found:?}");
    let text = String::from_utf8(agent.beside(&["status"])?.stdout)?;
    ensure!(text.contains("lint shadowed-policy") && text.contains("lint no-state"), "{text}");

    site.gateway.ip("xfrm policy flush")?;
    ensure!(lints()?.is_empty(), "{:?}", lints()?);
    Ok(())
}

fn policy(site: &Site, dir: &str, src: &str, dst: &str, priority: u32) -> Result<()> {
    let (from, to) = if dir == "out" { (GATEWAY, PEER) } else { (PEER, GATEWAY) };
    let template = format!("tmpl src {from} dst {to} proto esp mode tunnel reqid 5");
    site.gateway
        .ip(&format!("xfrm policy add src {src} dst {dst} dir {dir} priority {priority} {template}"))?;
    Ok(())
}
