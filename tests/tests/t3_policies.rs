//! The agent's own policies, which any kernel with XFRM takes: installed once, brought to what the file says, taken
//! away again, with those of others left alone and after a kill at any moment.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::{Agent, Binary, PATIENCE},
    probe, run,
    site::{GATEWAY, PEER, Site},
    wait,
};
use nix::sys::signal::Signal;
use std::{
    fmt::Write as _,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    path::Path,
    process::Output,
};
use tempfile::NamedTempFile;

/// Enough for a kill to fall between two of them.
const MANY: usize = 1500;
const KILLS: usize = 2;

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn they_are_installed_once_and_follow_the_file() -> Result<()> {
    let site = Site::new()?;
    let foreign = foreign_policy(&site)?;
    let config = config(&policies(3, 10))?;
    let mut agent = site.agent()?.config(config.path()).start()?;
    let installed = site.gateway.ip("xfrm policy")?;
    assert_eq!(ours(&site)?, expected(3, 10));
    assert!(installed.contains(&foreign), "{installed}");
    ensure!(nothing_to_do(&site, config.path())?, "a second run would change something");

    // Neither a stop nor a kill nor the next start changes a byte.
    assert_eq!(agent.stop()?, 0);
    assert_eq!(site.gateway.ip("xfrm policy")?, installed);
    let mut agent = site.agent()?.config(config.path()).start()?;
    agent.kill()?;
    let agent = site.agent()?.config(config.path()).start()?;
    assert_eq!(site.gateway.ip("xfrm policy")?, installed);

    // Another priority, and one policy less.
    reload(&agent, config.path(), &policies(2, 20), ("ok", 1))?;
    assert_eq!(ours(&site)?, expected(2, 20));
    reload(&agent, config.path(), "", ("ok", 2))?;
    assert_eq!(ours(&site)?, Vec::<String>::new());
    reload(&agent, config.path(), &policies(3, 10), ("ok", 3))?;
    assert_eq!(ours(&site)?, expected(3, 10));

    drop(agent);
    let gone = detach(&site)?;
    let said = String::from_utf8_lossy(&gone.stdout).into_owned();
    ensure!(
        gone.status.success() && said.contains(&destination(0)) && said.contains(&destination(2)),
        "{gone:?}"
    );
    assert_eq!(site.gateway.ip("xfrm policy")?, foreign);
    Ok(())
}

/// SAs come before policies, and a kernel without ESP refuses them: nothing of the new file may stay.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_reload_that_the_kernel_refuses_changes_nothing() -> Result<()> {
    let site = Site::new()?;
    let foreign = foreign_policy(&site)?;
    let config = config(&policies(3, 10))?;
    let agent = site.agent()?.config(config.path()).start()?;
    let before = site.gateway.ip("xfrm policy")?;
    let keyed = format!(
        "{}[[sa]]\nsrc = \"{PEER}\"\ndst = \"{GATEWAY}\"\nspi = 0x1001\nreqid = 5\nmode = \"tunnel\"\nencryption = \"cbc(aes)\"\nencryption_key = \"0x5c1fd0937ae24b8896f10e7d3ba2c465\"\nintegrity = \"hmac(sha256)\"\nintegrity_key = \"0x9e0b47c25d8136fa7724e1c09d5fb683a1d83c6042f79be5cc60128f74d9a3b7\"\n",
        policies(2, 20)
    );
    if probe::has_esp()? {
        reload(&agent, config.path(), &keyed, ("ok", 1))?;
        assert_eq!(ours(&site)?, expected(2, 20));
    } else {
        reload(&agent, config.path(), &keyed, ("failed", 1))?;
        assert_eq!(site.gateway.ip("xfrm policy")?, before);
        let log = agent.log();
        ensure!(log.contains("esp4") && log.contains("stays in force"), "{log}");
        ensure!(!log.to_lowercase().contains("5c1fd0937ae24b88"), "a key was printed: {log}");
    }
    assert_eq!(agent.get("/ready")?.0, 200);
    drop(agent);
    assert!(detach(&site)?.status.success());
    assert_eq!(site.gateway.ip("xfrm policy")?, foreign);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_kill_at_any_moment_of_the_installation_leaves_no_orphan() -> Result<()> {
    let site = Site::new()?;
    let foreign = foreign_policy(&site)?;
    let config = config(&policies(MANY, 10))?;
    let random = (0..KILLS).map(|_| RandomState::new().build_hasher().finish() as usize % MANY);
    let (mut amidst, mut last) = (0, String::new());
    for count in random.chain([1, MANY / 3]) {
        // Again on what the first kill left, then either `detach` or, at the end, a whole run.
        for count in [count, usize::midpoint(count, MANY)] {
            let there = kill_at(&site, config.path(), count)?;
            amidst += usize::from(there < MANY);
            last = format!("killed at {there} of {MANY} policies");
        }
        if count != MANY / 3 {
            ensure!(detach(&site)?.status.success(), "{last}");
            assert_eq!(site.gateway.ip("xfrm policy")?, foreign, "{last}");
        }
    }
    ensure!(amidst > 0, "no kill fell into an installation: make it longer");
    let agent = site.agent()?.config(config.path()).start()?;
    assert_eq!(ours(&site)?, expected(MANY, 10));
    ensure!(nothing_to_do(&site, config.path())?, "a second run would change something");
    drop(agent);
    assert!(detach(&site)?.status.success());
    assert_eq!(site.gateway.ip("xfrm policy")?, foreign);
    Ok(())
}

/// Starts an agent and kills it when there are so many policies of ours; how many there are then.
fn kill_at(site: &Site, config: &Path, count: usize) -> Result<usize> {
    let mut agent = site.agent()?.config(config).spawn()?;
    wait::until_ok(PATIENCE, "policies", || {
        ensure!(ours(site)?.len() >= count, "fewer than {count}");
        Ok(())
    })?;
    agent.kill()?;
    Ok(ours(site)?.len())
}

/// `out` policies p0, p1, and so on.
fn policies(count: usize, priority: u32) -> String {
    let mut text = String::new();
    for number in 0..count {
        writeln!(
            text,
            "[[policy]]\nname = \"p{number}\"\ndir = \"out\"\nsrc = \"192.168.1.0/24\"\ndst = \"{}\"\npriority = {priority}\ntemplate = [{{ src = \"{GATEWAY}\", dst = \"{PEER}\", mode = \"tunnel\", reqid = 5 }}]",
            destination(number)
        )
        .expect("writing to a string cannot fail");
    }
    text
}

fn destination(number: usize) -> String {
    format!("10.{}.{}.0/24", 1 + number / 256, number % 256)
}

/// As [`ours`] finds them.
fn expected(count: usize, priority: u32) -> Vec<String> {
    let mut all: Vec<String> =
        (0..count).map(|number| format!("{} priority {priority}", destination(number))).collect();
    all.sort();
    all
}

/// Destination and priority of the policies that protect our network.
fn ours(site: &Site) -> Result<Vec<String>> {
    let text = site.gateway.ip("-o xfrm policy")?;
    let mut all = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("src 192.168.1.0/24 ")) {
        let after = |word: &str| line.split(&format!(" {word} ")).nth(1)?.split_whitespace().next();
        let (dst, priority) = (after("dst").context("no dst")?, after("priority").context("no priority")?);
        all.push(format!("{dst} priority {priority}"));
    }
    all.sort();
    Ok(all)
}

/// Makes a policy of someone else; all policies as `ip` shows them then.
fn foreign_policy(site: &Site) -> Result<String> {
    site.gateway.ip(&format!(
        "xfrm policy add src 10.9.0.0/16 dst 10.8.0.0/16 dir out priority 10 tmpl src {GATEWAY} dst {PEER} proto esp reqid 5 mode tunnel"
    ))?;
    site.gateway.ip("xfrm policy")
}

fn config(text: &str) -> Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    Ok(file)
}

fn reload(agent: &Agent, path: &Path, text: &str, (result, count): (&str, u64)) -> Result<()> {
    std::fs::write(path, text)?;
    agent.signal(Signal::SIGHUP)?;
    agent
        .wait_metric("esp_agent_reloads_total", &[("result", result)], count)
        .with_context(|| format!("its log:\n{}", agent.log()))
        .map(drop)
}

fn nothing_to_do(site: &Site, config: &Path) -> Result<bool> {
    let plan = run::text(Binary::find()?.command(&site.gateway).arg("plan").arg("-c").arg(config))?;
    Ok(plan.contains("nothing to do"))
}

fn detach(site: &Site) -> Result<Output> {
    run::output(Binary::find()?.command(&site.gateway).arg("detach"))
}
