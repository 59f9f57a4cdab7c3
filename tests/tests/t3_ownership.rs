//! What the agent made is its own after any kill, over upgrades and reboots, and nothing is changed that could not be
//! written down.

use anyhow::{Context, Result, ensure};
use esp_tests::{
    agent::{Binary, PATIENCE},
    run,
    site::{GATEWAY, OUTSIDE, PEER, Site},
    traced::{Traced, killed},
    wait,
};
use nix::mount::{MsFlags, mount};
use std::{
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};
use tempfile::NamedTempFile;

/// Policies of the configuration.
const POLICIES: usize = 3;
/// More calls than an installation makes.
const ENOUGH: usize = 60;

/// Each system call that changes the kernel or the record is one that the agent may not come back from.
#[test]
#[ignore = "T3: root, namespaces, bpf, strace"]
fn a_kill_at_every_step_leaves_nothing_that_is_not_known() -> Result<()> {
    for call in ["sendto", "fsync"] {
        let site = Site::new()?;
        let foreign = foreign(&site)?;
        let config = config(10)?;
        let mut seen = [false; POLICIES + 1];
        let finished = (1..=ENOUGH).find_map(|number| {
            let outcome = kill_at(&site, config.path(), call, number, &foreign);
            match outcome.with_context(|| format!("killed at {call} {number}")) {
                Ok(Some(there)) => {
                    seen[there] = true;
                    None
                }
                Ok(None) => Some(Ok(number)),
                Err(error) => Some(Err(error)),
            }
        });
        let finished = finished.context("no installation was finished")??;
        ensure!(finished > POLICIES, "only {finished} times {call}");
        ensure!(call == "fsync" || seen == [true; POLICIES + 1], "not every step was killed at: {seen:?}");
    }
    Ok(())
}

/// How many policies there were; `None` when it lived on and all was installed.
fn kill_at(site: &Site, config: &Path, call: &str, number: usize, foreign: &str) -> Result<Option<usize>> {
    let mut agent =
        Traced::run(&site.gateway, OUTSIDE, config, &format!("{call}:signal=SIGKILL:when={number}"))?;
    let ended = agent.wait(PATIENCE, || matches!(ready(site), Ok(true)))?;
    let Some(status) = ended else {
        drop(agent);
        ensure!(ours(site)? == POLICIES, "ready with {} policies", ours(site)?);
        return Ok(None);
    };
    killed(status, &agent.log())?;
    // The next one knows what is its own: no conflict, no note that something is another's, nothing made twice.
    let there = ours(site)?;
    let plan: serde_json::Value = serde_json::from_str(&run::text(
        Binary::find()?.command(&site.gateway).args(["plan", "--json", "-c"]).arg(config),
    )?)?;
    let steps = plan["steps"].as_array().context("no steps")?.len();
    ensure!(steps == POLICIES - there && plan["notes"].as_array().is_some_and(Vec::is_empty), "{plan:#}");
    detach(site)?;
    ensure!(site.gateway.ip("xfrm policy")? == foreign, "{}", site.gateway.ip("xfrm policy")?);
    Ok(Some(there))
}

#[test]
#[ignore = "T3: root, namespaces, bpf, strace"]
fn who_was_faster_keeps_his_policy_and_ours_are_taken_back() -> Result<()> {
    let site = Site::new()?;
    let config = config(10)?;
    // Every request to the kernel waits, so that there is time between two policies.
    let mut agent = Traced::run(&site.gateway, OUTSIDE, config.path(), "sendto:delay_enter=500ms:when=3+")?;
    wait::until_ok(PATIENCE, "the first policy", || {
        ensure!(ours(&site)? == 1, "{} policies", ours(&site)?);
        Ok(())
    })?;
    let theirs = format!("src 192.168.1.0/24 dst 10.2.0.0/16 dir out priority 77 {TEMPLATE}");
    site.gateway.ip(&format!("xfrm policy add {theirs}"))?;
    let status = agent.wait(PATIENCE, || false)?.context("it lives on")?;
    let log = agent.log();
    ensure!(status.code() == Some(1) && status.signal().is_none(), "{status}: {log}");
    for said in ["10.2.0.0/16", "another program has just made one that differs in priority", "undone"] {
        ensure!(log.contains(said), "{said} is not said: {log}");
    }
    let left = site.gateway.ip("xfrm policy")?;
    ensure!(left.matches("dir out").count() == 1 && left.contains("priority 77"), "{left}");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_full_disk_changes_nothing_and_is_said() -> Result<()> {
    const SMALL: &str = "/run/small";
    let site = Site::new()?;
    let foreign = foreign(&site)?;
    let config = config(10)?;
    site.gateway.run_in(|| {
        std::fs::create_dir(SMALL)?;
        // Two pages: one for what fills it, one for the lock.
        mount(Some("tmpfs"), SMALL, Some("tmpfs"), MsFlags::empty(), Some("size=8k"))?;
        Ok(std::fs::write(format!("{SMALL}/filler"), [0; 4096])?)
    })?;
    let mut command = Binary::find()?.command(&site.gateway);
    command.args(["run", "--iface", OUTSIDE, "--state-dir", SMALL, "-c"]).arg(config.path());
    let refused = run::output(&mut command)?;
    expect(&refused, 1, &["ownership record", "No space left on device", "free space there"])?;
    ensure!(site.gateway.ip("xfrm policy")? == foreign, "the kernel was changed");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_record_of_another_boot_is_begun_anew_and_one_of_a_newer_agent_is_refused() -> Result<()> {
    let site = Site::new()?;
    let config = config(10)?;
    let mut agent = site.agent()?.config(config.path()).start()?;
    ensure!(agent.stop()? == 0);
    let record = record(&site)?;
    let text = site.gateway.run_in(|| Ok(std::fs::read_to_string(&record)?))?;
    let installed = site.gateway.ip("xfrm policy")?;

    // A newer agent may have meant something else by it.
    write(&site, &record, &text.replacen("\"schema\":1", "\"schema\":9", 1))?;
    let run = |what: &str| {
        let mut command = Binary::find()?.command(&site.gateway);
        run::output(command.args([what, "--iface", OUTSIDE, "-c"]).arg(config.path()))
    };
    expect(&run("run")?, 1, &["schema 9", "this agent knows 1", "detach"])?;
    ensure!(site.gateway.ip("xfrm policy")? == installed, "the kernel was changed");

    // A reboot that /run has outlived: the kernel is empty, and nothing in it is ours.
    let boot = text.split("\"boot_id\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let boot = boot.context("the record names no boot")?;
    write(&site, &record, &text.replace(boot, "00000000-0000-0000-0000-000000000000"))?;
    site.gateway.ip("xfrm policy flush")?;
    let agent = site.agent()?.config(config.path()).start()?;
    ensure!(ours(&site)? == POLICIES && agent.log().contains("begun anew"), "{}", agent.log());
    drop(agent);
    detach(&site)?;
    ensure!(site.gateway.ip("xfrm policy")?.is_empty());
    Ok(())
}

const TEMPLATE: &str = "tmpl src 10.55.55.1 dst 10.55.55.55 proto esp reqid 5 mode tunnel";

fn config(priority: u32) -> Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    let policy = |number| {
        format!(
            "[[policy]]\nname = \"p{number}\"\ndir = \"out\"\nsrc = \"192.168.1.0/24\"\ndst = \"10.{number}.0.0/16\"\n\
             priority = {priority}\ntemplate = [{{ src = \"{GATEWAY}\", dst = \"{PEER}\", mode = \"tunnel\", reqid = 5 }}]\n"
        )
    };
    std::fs::write(file.path(), (1..=POLICIES).map(policy).collect::<String>())?;
    Ok(file)
}

fn foreign(site: &Site) -> Result<String> {
    site.gateway
        .ip(&format!("xfrm policy add src 10.9.0.0/16 dst 10.8.0.0/16 dir out priority 10 {TEMPLATE}"))?;
    site.gateway.ip("xfrm policy")
}

/// Policies from our network.
fn ours(site: &Site) -> Result<usize> {
    Ok(site.gateway.ip("xfrm policy")?.matches("src 192.168.1.0/24 ").count())
}

fn ready(site: &Site) -> Result<bool> {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9754));
    Ok(esp_tests::agent::http::get(&site.gateway, address, "/ready")?.0 == 200)
}

fn record(site: &Site) -> Result<PathBuf> {
    site.gateway.run_in(|| {
        let dirs = std::fs::read_dir("/run/esp-agent")?.filter_map(Result::ok);
        dirs.map(|dir| dir.path().join("owned.json")).find(|path| path.exists()).context("no record")
    })
}

fn write(site: &Site, path: &Path, text: &str) -> Result<()> {
    site.gateway.run_in(|| Ok(std::fs::write(path, text)?))
}

fn detach(site: &Site) -> Result<()> {
    // An agent that was killed a moment ago may still hold the lock.
    wait::until_ok(Duration::from_secs(5), "detach", || {
        run::text(Binary::find()?.command(&site.gateway).arg("detach")).map(drop)
    })
}

fn expect(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    ensure!(output.status.code() == Some(code), "{:?}: {text}", output.status);
    words.iter().try_for_each(|word| {
        ensure!(text.contains(word), "{word} is not said: {text}");
        Ok(())
    })
}
