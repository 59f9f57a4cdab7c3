//! What an operator asks the running agent over its socket: who may, what it answers, and what does not hurt it.

use anyhow::{Context, Result, ensure};
use esp_tests::{agent::Agent, netns::Netns, site::Site, wait::until_ok};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    process::Output,
    time::Duration,
};

const KEYS: &str = "tunnel = \"site-b\"\nlocal = \"10.55.55.1\"\n[in]\nspi = 300\nkey = \"KEY1\"\n[out]\nspi = 301\nkey = \"KEY2\"\n";

fn socket(netns: &Netns) -> Result<PathBuf> {
    netns.run_in(|| Ok(esp_agent::instance::Instance::detect(None)?.state_dir.join("control.sock")))
}

/// A file of new keys, mode 0600 or another.
fn keys(mode: u32) -> Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    let text =
        KEYS.replace("KEY1", &"1f9be207c4".repeat(9)[..72]).replace("KEY2", &"7c02e9d14b".repeat(9)[..72]);
    std::fs::write(file.path(), text)?;
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode))?;
    Ok(file)
}

fn rotate(agent: &Agent, file: &tempfile::NamedTempFile, more: &[&str]) -> Result<Output> {
    let path = file.path().display().to_string();
    agent.beside(&[&["rotate", "site-b", "--keys", &path], more].concat())
}

/// The exit code, and what it said.
fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn what_cannot_be_done_is_refused_with_the_way_out() -> Result<()> {
    let site = Site::new()?;
    let mut agent = site.agent()?.start()?;
    let (code, text) = said(&rotate(&agent, &keys(0o644)?, &[])?);
    ensure!(code == Some(1) && text.contains("chmod 600 it"), "{code:?}: {text}");
    let (code, text) = said(&rotate(&agent, &keys(0o600)?, &["--outbound-at", "tomorrow"])?);
    ensure!(code == Some(64) && text.contains("a span such as +10s"), "{code:?}: {text}");
    let (code, text) = said(&rotate(&agent, &keys(0o600)?, &["--outbound-at", "2020-01-01T00:00:00Z"])?);
    ensure!(code == Some(64) && text.contains("--outbound-at is past"), "{code:?}: {text}");
    let (code, text) = said(&rotate(&agent, &keys(0o600)?, &[])?);
    ensure!(code == Some(64) && text.contains("there is no tunnel \"site-b\""), "{code:?}: {text}");
    for way in ["--switch", "--finish", "--cancel"] {
        let (code, text) = said(&agent.beside(&["rotate", "site-b", way])?);
        ensure!(code == Some(64) && text.contains("`status` shows"), "{way}: {code:?}: {text}");
    }
    ensure!(agent.stop()? == 0, "{}", agent.log());
    let (code, text) = said(&rotate(&agent, &keys(0o600)?, &[])?);
    ensure!(code == Some(1) && text.contains("start it (`esp-agent run`)"), "{code:?}: {text}");
    ensure!(!agent.log().contains("1f9be207c4"), "a key in the log");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces"]
fn only_root_reaches_it_and_no_client_holds_it_up() -> Result<()> {
    let site = Site::new()?;
    let mut agent = site.agent()?.start()?;
    let path = socket(&site.gateway)?;
    let connect = || site.gateway.run_in(|| UnixStream::connect(&path).context("failed to connect"));
    let mode = site.gateway.run_in(|| Ok(std::fs::metadata(&path)?.permissions().mode()))?;
    ensure!(mode & 0o777 == 0o600, "{mode:o}");

    // One that says nothing, one that goes away, one that never ends.
    let silent = connect()?;
    drop(connect()?);
    let mut endless = connect()?;
    endless.set_write_timeout(Some(Duration::from_secs(1)))?;
    // The agent hangs up when it has read enough.
    let flooded = endless.write_all(&vec![b'x'; 1 << 20]);
    ensure!(flooded.is_err(), "a megabyte was taken");
    for text in ["\n", "{}\n", "{\"op\":\"rotate\"}\n", "{\"op\":\"switch\",\"tunnel\":7}\n", "\0\u{7f}\n"] {
        let answer = until_ok(Duration::from_secs(30), "an answer", || {
            let mut stream = connect()?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(text.as_bytes())?;
            let mut answer = String::new();
            BufReader::new(stream).read_line(&mut answer)?;
            ensure!(!answer.is_empty(), "nothing");
            Ok(answer)
        })?;
        ensure!(answer.contains("\"code\":64"), "{text:?}: {answer}");
    }
    drop(silent);
    ensure!(agent.stop()? == 0, "{}", agent.log());
    let left = site.gateway.run_in(|| Ok(path.exists()))?;
    ensure!(!left, "the socket outlives the agent");
    Ok(())
}
