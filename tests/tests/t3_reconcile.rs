//! What others undo: seen by events, brought back at once, told, and never fought over.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::{Agent, Binary, PATIENCE},
    run,
    site::{GATEWAY, PEER, Site},
    wait,
};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

const OURS: &str = "src 192.168.1.0/24 dst 10.1.0.0/16 dir out";

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_flush_is_repaired_within_a_second_and_told() -> Result<()> {
    let site = Site::new()?;
    let (agent, _config) = start(&site, "repair")?;
    let before = policies(&site)?;
    foreign(&site, "10.9.0.0/16")?;
    let begun = Instant::now();
    site.gateway.ip("xfrm policy flush")?;
    wait::until_ok(PATIENCE, "the policies to be back", || {
        ensure!(policies(&site)? == before, "{}", policies(&site)?);
        Ok(())
    })?;
    ensure!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
    agent.wait_metric("esp_agent_repairs_total", &[("result", "ok")], 2)?;
    assert_eq!(agent.metric("esp_agent_drift_total", &[("kind", "missing"), ("object", "policy")])?, 2);
    assert_eq!(agent.metric("esp_agent_drifted", &[])?, 0);
    let log = agent.log();
    for said in ["drift: policy out 192.168.1.0/24 -> 10.1.0.0/16 (p1) is gone", "repaired: + policy"] {
        ensure!(log.contains(said), "{said} is not said: {log}");
    }
    // The stranger's policy is the stranger's business.
    ensure!(!site.gateway.ip("xfrm policy")?.contains("10.9.0.0/16"));
    wait::until_ok(PATIENCE, "status to tell", || {
        let status = run::text(Binary::find()?.command(&site.gateway).arg("status"))?;
        ensure!(status.contains("2 found, 2 repaired, 0 failed; reconcile = repair"), "{status}");
        Ok(())
    })
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_change_in_place_is_taken_back_and_what_a_stranger_made_stays() -> Result<()> {
    let site = Site::new()?;
    let (agent, _config) = start(&site, "repair")?;
    let before = policies(&site)?;
    site.gateway.ip(&format!("xfrm policy update {OURS} priority 7"))?;
    wait::until_ok(PATIENCE, "the policy to be as it was", || {
        ensure!(policies(&site)? == before, "{}", policies(&site)?);
        Ok(())
    })?;
    assert_eq!(agent.metric("esp_agent_drift_total", &[("kind", "changed"), ("object", "policy")])?, 1);

    // Deleted and made again within the time that events may settle: it is another's from now on.
    let batch = format!("xfrm policy delete {OURS}\nxfrm policy add {OURS} priority 7 {TEMPLATE}\n");
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), batch)?;
    run::text(site.gateway.command("ip").arg("-batch").arg(file.path()))?;
    agent.wait_metric("esp_agent_drifted", &[("kind", "foreign"), ("object", "policy")], 1)?;
    let theirs = site.gateway.ip(&format!("xfrm policy get {OURS}"))?;
    ensure!(theirs.contains("priority 7"), "{theirs}");
    wait::until_ok(PATIENCE, "status to tell", || {
        let status = agent.status_json()?;
        let text = status["agent"]["drift"]["now"][0]["text"].as_str().context("no row")?;
        ensure!(text.contains("not made by this agent") && text.contains("priority"), "{text}");
        Ok(())
    })?;

    // It goes, and ours comes back.
    site.gateway.ip(&format!("xfrm policy delete {OURS}"))?;
    wait::until_ok(PATIENCE, "our policy to be back", || {
        ensure!(policies(&site)? == before, "{}", policies(&site)?);
        Ok(())
    })?;
    agent.wait_metric("esp_agent_repairs_total", &[("result", "ok")], 2)?;
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn who_keeps_undoing_us_is_not_fought() -> Result<()> {
    let site = Site::new()?;
    let (agent, _config) = start(&site, "repair")?;
    let begun = Instant::now();
    let mut flushes = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        site.gateway.ip("xfrm policy flush")?;
        flushes += 1;
    }
    // At once, after 1 s and after 2 s more: two policies each time.
    let repairs = agent.metric("esp_agent_repairs_total", &[("result", "ok")])?;
    ensure!((4..=6).contains(&repairs), "{repairs} repairs against {flushes} flushes");
    ensure!(agent.log().contains("something undoes it again and again"), "{}", agent.log());
    wait::until_ok(PATIENCE, "status to tell", || {
        let status = agent.status_json()?;
        let row = &status["agent"]["drift"]["now"][0];
        ensure!(row["retry_s"].as_u64().is_some_and(|wait| (1..=4).contains(&wait)), "{status:#}");
        Ok(())
    })?;
    // When it ends, all comes back.
    wait::until_ok(PATIENCE, "the policies to be back", || {
        ensure!(policies(&site)?.matches("dir out").count() == 2, "not yet");
        Ok(())
    })
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn report_only_tells_and_off_does_neither() -> Result<()> {
    for (mode, told) in [("report", 2), ("off", 0)] {
        let site = Site::new()?;
        let (mut agent, config) = start(&site, mode)?;
        site.gateway.ip("xfrm policy flush")?;
        if told > 0 {
            agent.wait_metric("esp_agent_drifted", &[("kind", "missing"), ("object", "policy")], told)?;
        }
        assert_eq!(agent.metric("esp_agent_drift_total", &[])?, told);
        assert_eq!(policies(&site)?, "");
        assert_eq!(agent.metric("esp_agent_repairs_total", &[])?, 0);
        // The next start brings all there.
        ensure!(agent.stop()? == 0);
        let _agent = site.agent()?.config(config.path()).start()?;
        assert_eq!(policies(&site)?.matches("dir out").count(), 2);
    }
    Ok(())
}

const TEMPLATE: &str = "tmpl src 10.55.55.1 dst 10.55.55.55 proto esp reqid 5 mode tunnel";

fn start(site: &Site, mode: &str) -> Result<(Agent, NamedTempFile)> {
    let config = NamedTempFile::new()?;
    let policy = |number| {
        format!(
            "[[policy]]\nname = \"p{number}\"\ndir = \"out\"\nsrc = \"192.168.1.0/24\"\ndst = \"10.{number}.0.0/16\"\npriority = 10\n\
             template = [{{ src = \"{GATEWAY}\", dst = \"{PEER}\", mode = \"tunnel\", reqid = 5 }}]\n"
        )
    };
    std::fs::write(config.path(), format!("reconcile = \"{mode}\"\n{}{}", policy(1), policy(2)))?;
    let agent = site.agent()?.config(config.path()).start()?;
    Ok((agent, config))
}

/// As `ip` shows them, by selector: a policy that comes back is the last of its priority.
fn policies(site: &Site) -> Result<String> {
    let text = site.gateway.ip("xfrm policy")?;
    let mut blocks: Vec<String> = text.replace("\n\t", " ").lines().map(str::to_owned).collect();
    blocks.sort();
    Ok(blocks.join("\n"))
}

fn foreign(site: &Site, dst: &str) -> Result<()> {
    site.gateway.ip(&format!("xfrm policy add src 10.8.0.0/16 dst {dst} dir out priority 10 {TEMPLATE}"))?;
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_default_policy_that_another_program_sets_is_set_back() -> Result<()> {
    let site = Site::new()?;
    let config = NamedTempFile::new()?;
    std::fs::write(config.path(), "[default_policy]\nfwd = \"block\"\n")?;
    let agent = site.agent()?.config(config.path()).start()?;
    let seen = || site.gateway.ip("xfrm policy getdefault");
    let ours = seen()?;
    ensure!(ours.contains("block"), "{ours}");
    site.gateway.ip("xfrm policy setdefault fwd accept")?;
    ensure!(seen()? != ours, "nothing was changed: {ours}");
    wait::until_ok(PATIENCE, "the default policy to be set back", || {
        ensure!(seen()? == ours, "{}", seen()?);
        Ok(())
    })?;
    agent
        .wait_metric("esp_agent_drift_total", &[("kind", "changed"), ("object", "default_policy")], 1)
        .with_context(|| agent.log())?;
    Ok(())
}
