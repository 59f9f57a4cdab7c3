//! What the agent cannot do it says in one sentence, with an exit code of its own, and leaves the host as it was.

use anyhow::{Context, Result, ensure};
use esp_agent::xfrm::{Xfrm as _, netlink::Netlink};
use esp_tests::{
    agent::{Agent, Binary, PATIENCE},
    attached,
    netns::Netns,
    probe, run,
    site::{GATEWAY, OUTSIDE, PEER, Site},
};
use serde_json::Value;
use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
};
use tempfile::NamedTempFile;

/// Half of each key: no output may have it.
const KEYS: [&str; 2] = ["7f3a91c05be26d48", "e81d5502cc9b4f76"];
const BAD_CONFIG: Option<i32> = Some(64);
const LACKS: Option<i32> = Some(69);
const NOT_PERMITTED: Option<i32> = Some(77);

#[test]
#[ignore = "T3: root, namespaces"]
fn without_root_the_missing_capabilities_are_named() -> Result<()> {
    let site = Site::new()?;
    let config = config(&tunnel())?;
    let config = config.path().to_str().context("a path of text")?;
    let wrappers: [&[&str]; 2] = [
        // Root without its rights, who can still read the binary, and root of a user namespace, who has none outside.
        &["setpriv", "--reuid", "0", "--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"],
        &["unshare", "--user"],
    ];
    let before = footprint(&site.gateway)?;
    for wrapper in wrappers {
        for args in [&["run", "--iface", OUTSIDE][..], &["status"], &["detach"], &["plan", "-c", config]] {
            let output = run::output(wrapped(&site.gateway, wrapper)?.args(args))?;
            expect(&output, NOT_PERMITTED, &["CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"])
                .with_context(|| format!("{wrapper:?} {args:?}"))?;
        }
        let check = run::output(wrapped(&site.gateway, wrapper)?.args(["check", "-c", config]))?;
        expect(&check, Some(0), &["tunnels 1"]).context("check needs no root")?;
    }
    ensure!(footprint(&site.gateway)? == before, "something was changed");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn all_errors_of_a_configuration_are_listed_with_their_places() -> Result<()> {
    let site = Site::new()?;
    let before = footprint(&site.gateway)?;
    let file = config(&format!(
        "[guard]\nunknown_sip = \"observe\"\nselectors = \"maybe\"\n{}replay_windw = 64\n",
        tunnel().replace("0x1001", "0xff").replace(KEYS[0], &KEYS[0][2..])
    ))?;
    let path = file.path().to_str().context("a path of text")?;
    let wanted = ["unknown_sip", "selectors", "spi", "encryption_key", "replay_windw"];
    for args in [&["check", "-c", path][..], &["run", "--iface", OUTSIDE, "-c", path], &["plan", "-c", path]]
    {
        let output = agent(&site, args)?;
        expect(&output, BAD_CONFIG, &wanted).with_context(|| format!("{args:?}"))?;
    }
    let json: Value = serde_json::from_slice(&agent(&site, &["check", "--json", "-c", path])?.stdout)?;
    let errors = json["errors"].as_array().context("no errors")?;
    assert!(errors.len() >= wanted.len(), "{json:#}");
    assert!(errors.iter().all(|error| error["line"].as_u64() > Some(0)), "{json:#}");

    let absent = config(&in_file("/nowhere.key"))?;
    let check = agent(&site, &["check", "-c", absent.path().to_str().context("a path of text")?])?;
    expect(&check, BAD_CONFIG, &["encryption_key_file", "/nowhere.key"])?;
    expect(&agent(&site, &["check", "-c", "/nowhere.toml"])?, BAD_CONFIG, &["/nowhere.toml"])?;
    expect(&agent(&site, &["run"])?, BAD_CONFIG, &["--iface"])?;
    expect(&agent(&site, &["run", "--ifaces", OUTSIDE])?, BAD_CONFIG, &["--iface"])?;
    ensure!(footprint(&site.gateway)? == before, "something was changed");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn a_key_file_that_others_can_read_is_refused_by_name() -> Result<()> {
    let site = Site::new()?;
    let key = NamedTempFile::new()?;
    std::fs::write(key.path(), format!("{}{}", KEYS[0], KEYS[1]))?;
    std::fs::set_permissions(key.path(), PermissionsExt::from_mode(0o644))?;
    let name = key.path().to_str().context("a path of text")?;
    let file = config(&in_file(name))?;
    let path = file.path().to_str().context("a path of text")?;
    expect(&agent(&site, &["check", "-c", path])?, BAD_CONFIG, &[name, "encryption_key_file"])?;
    std::fs::set_permissions(key.path(), PermissionsExt::from_mode(0o600))?;
    expect(&agent(&site, &["check", "-c", path])?, Some(0), &["ok"])
}

/// On a kernel with ESP the same file is installed, shown as installed, and taken away.
#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn sas_are_installed_or_what_the_kernel_lacks_is_named_and_nothing_stays() -> Result<()> {
    let site = Site::new()?;
    let before = footprint(&site.gateway)?;
    let file = config(&tunnel())?;
    let path = file.path().to_str().context("a path of text")?;

    let plan = agent(&site, &["plan", "-c", path])?;
    expect(&plan, Some(0), &["0x00001001", "0x00001002", "192.168.2.0/24", "site-b"])?;
    let json: Value = serde_json::from_slice(&agent(&site, &["plan", "--json", "-c", path])?.stdout)?;
    let text = json.to_string();
    ensure!(text.contains("192.168.2.0/24") && KEYS.iter().all(|key| !text.contains(key)), "{json:#}");
    ensure!(footprint(&site.gateway)? == before, "plan has changed something");

    let mut running = site.agent()?.config(file.path()).spawn()?;
    if probe::has_esp()? {
        running.wait_ready()?;
        assert_eq!(objects(&site.gateway)?, (2, 3));
        expect(&agent(&site, &["plan", "-c", path])?, Some(0), &["nothing to do"])?;
        assert_eq!(running.stop()?, 0);
        expect(&agent(&site, &["detach"])?, Some(0), &["0x00001001"])?;
    } else {
        assert_eq!(Some(running.wait_exit(PATIENCE)?), LACKS, "{}", running.log());
        said(&running, &["esp4", "CONFIG_INET_ESP", "0x0000100"])?;
    }
    secret(&running.log())?;
    ensure!(footprint(&site.gateway)? == before, "something stays: {:?}", footprint(&site.gateway)?);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_foreign_policy_in_the_way_is_named_and_nothing_is_changed() -> Result<()> {
    let site = Site::new()?;
    site.gateway.ip(&format!(
        "xfrm policy add src 192.168.2.0/24 dst 192.168.1.0/24 dir in tmpl src {PEER} dst {GATEWAY} proto esp reqid 99 mode tunnel"
    ))?;
    let before = footprint(&site.gateway)?;
    let file = config(&tunnel())?;
    let mut running = site.agent()?.config(file.path()).spawn()?;
    assert_eq!(running.wait_exit(PATIENCE)?, 1, "{}", running.log());
    said(&running, &["policy in 192.168.2.0/24 -> 192.168.1.0/24", "not made by this agent", "site-b"])?;
    ensure!(footprint(&site.gateway)? == before, "something was changed");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_missing_bpf_file_system_is_named_with_the_way_out() -> Result<()> {
    let site = Site::new()?;
    run::text(site.gateway.command("umount").arg("/sys/fs/bpf"))?;
    let before = footprint(&site.gateway)?;
    let mut running = site.agent()?.spawn()?;
    assert_eq!(Some(running.wait_exit(PATIENCE)?), LACKS, "{}", running.log());
    said(&running, &["/sys/fs/bpf", "mount -t bpf", "--bpffs"])?;
    ensure!(footprint(&site.gateway)? == before, "something was changed");

    run::text(site.gateway.command("mkdir").arg("/run/bpf"))?;
    run::text(site.gateway.command("mount").args(["-t", "bpf", "bpf", "/run/bpf"]))?;
    let mut elsewhere = site.agent()?.arg("--bpffs").arg("/run/bpf/esp").start()?;
    assert_eq!(elsewhere.stop()?, 0);
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_driver_without_xdp_is_named_and_nothing_stays() -> Result<()> {
    let site = Site::new()?;
    let before = footprint(&site.gateway)?;
    // The loopback device has no `ndo_bpf`.
    let output = agent(&site, &["run", "--iface", "lo", "--attach", "native"])?;
    expect(&output, LACKS, &["lo has no native hook", "--attach"])?;
    ensure!(footprint(&site.gateway)? == before, "something was changed");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_taken_port_is_named_and_nothing_is_set_up() -> Result<()> {
    let site = Site::new()?;
    let before = footprint(&site.gateway)?;
    let taken = site.gateway.run_in(|| Ok(TcpListener::bind("127.0.0.1:9754")?))?;
    let mut running = site.agent()?.spawn()?;
    assert_eq!(running.wait_exit(PATIENCE)?, 1, "{}", running.log());
    said(&running, &["failed to serve metrics on 127.0.0.1:9754", "--metrics"])?;
    ensure!(footprint(&site.gateway)? == before, "something was changed");
    drop(taken);
    let mut running = site.agent()?.start()?;
    assert_eq!(running.stop()?, 0);
    Ok(())
}

/// `status` of a host that no agent has seen is no error, and sets nothing up.
#[test]
#[ignore = "T3: root, namespaces"]
fn status_works_where_no_agent_ever_ran() -> Result<()> {
    let site = Site::new()?;
    let before = footprint(&site.gateway)?;
    let status = Binary::find()?.status_json(&site.gateway)?;
    assert_eq!(status["agent"], Value::Null);
    assert_eq!(status["interfaces"], Value::Array(Vec::new()));
    expect(&agent(&site, &["status"])?, Some(0), &["agent"])?;
    ensure!(footprint(&site.gateway)? == before, "something was changed");
    Ok(())
}

/// A tunnel with keys in the file, of mode 600 as temporary files are.
fn tunnel() -> String {
    let [a, b] = KEYS;
    let sa = |direction: &str, spi: &str, x: &str, y: &str| {
        format!(
            "[tunnel.{direction}]\nspi = {spi}\nencryption_key = \"0x{x}{y}\"\nintegrity_key = \"0x{y}{x}{x}{y}\"\n"
        )
    };
    format!(
        "[[tunnel]]\nname = \"site-b\"\nlocal = \"{GATEWAY}\"\nremote = \"{PEER}\"\nlocal_net = \"192.168.1.0/24\"\nremote_net = \"192.168.2.0/24\"\nencryption = \"cbc(aes)\"\nintegrity = \"hmac(sha256)\"\n{}{}",
        sa("in", "0x1001", a, b),
        sa("out", "0x1002", b, a)
    )
}

/// The same with its inbound key in a file.
fn in_file(name: &str) -> String {
    let inline = format!("encryption_key = \"0x{}{}\"", KEYS[0], KEYS[1]);
    tunnel().replace(&inline, &format!("encryption_key_file = \"{name}\""))
}

fn config(text: &str) -> Result<NamedTempFile> {
    let file = NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    Ok(file)
}

fn agent(site: &Site, args: &[&str]) -> Result<Output> {
    run::output(Binary::find()?.command(&site.gateway).args(args))
}

/// The agent behind a program that takes its rights away.
fn wrapped(netns: &Netns, wrapper: &[&str]) -> Result<Command> {
    let binary = Binary::find()?.command(netns);
    let (program, args) = wrapper.split_first().context("no wrapper")?;
    let mut command = netns.command(program);
    command.args(args).arg(binary.get_program());
    Ok(command)
}

/// Exit code and words, and no key anywhere.
fn expect(output: &Output, code: Option<i32>, words: &[&str]) -> Result<()> {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    ensure!(output.status.code() == code, "{:?} instead of {code:?}:\n{text}", output.status);
    for word in words {
        ensure!(text.contains(word), "{word} is not said:\n{text}");
    }
    secret(&text)
}

fn said(agent: &Agent, words: &[&str]) -> Result<()> {
    let log = agent.log();
    for word in words {
        ensure!(log.contains(word), "{word} is not said:\n{log}");
    }
    secret(&log)
}

fn secret(text: &str) -> Result<()> {
    let lower = text.to_lowercase();
    ensure!(KEYS.iter().all(|key| !lower.contains(&key[2..])), "a key was printed:\n{text}");
    Ok(())
}

/// SAs and policies.
fn objects(netns: &Netns) -> Result<(usize, usize)> {
    netns.run_in(|| {
        let mut xfrm = Netlink::open()?;
        Ok((xfrm.sas()?.len(), xfrm.policies()?.len()))
    })
}

/// All that an agent could leave.
fn footprint(netns: &Netns) -> Result<String> {
    let files = run::output(netns.command("find").args(["/run", "/sys/fs/bpf"]))?;
    Ok(format!(
        "{:?} {:?} {}",
        objects(netns)?,
        attached::programs(netns, OUTSIDE)?,
        String::from_utf8_lossy(&files.stdout)
    ))
}
