//! A running `esp-agent monitor`.

use crate::{agent::Binary, agent::PATIENCE, netns::Netns, wait};
use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
};

/// The monitor. It is killed when this is dropped.
#[derive(Debug)]
pub struct Monitor(Child);

impl Monitor {
    /// Starts it: and what it prints.
    ///
    /// # Errors
    /// When there is no agent.
    pub fn start(netns: &Netns, args: &[&str]) -> Result<(Self, ChildStdout)> {
        let mut command = Binary::find()?.command(netns);
        command.arg("monitor").args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("failed to start the monitor")?;
        let stdout = child.stdout.take().context("no output")?;
        Ok((Self(child), stdout))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.0.id())?), signal)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it runs on.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        self.ended_after(|| Ok(()))
    }

    /// The same, while something is done again and again.
    ///
    /// # Errors
    /// When it runs on.
    pub fn ended_after(&mut self, mut again: impl FnMut() -> Result<()>) -> Result<ExitStatus> {
        wait::until_ok(PATIENCE, "the monitor to end", || {
            again()?;
            self.0.try_wait()?.context("it runs")
        })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            // A destructor has nobody to return it to.
            eprintln!("failed to end the monitor: {error}");
        }
    }
}

/// What it prints, line by line.
#[derive(Debug)]
pub struct Lines(Receiver<String>);

impl Lines {
    /// Begins to read.
    #[must_use]
    pub fn of(stdout: ChildStdout) -> Self {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// Changes the default policy until the monitor tells of it, which has then subscribed; then eats what came of it.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn subscribed(&self, netns: &Netns) -> Result<()> {
        const SELECTOR: &str = "src 192.0.2.0/24 dst 198.51.100.0/24 dir out";
        wait::until_ok(PATIENCE, "the first line", || {
            netns.ip("xfrm policy setdefault in accept")?;
            Ok(self.0.try_recv()?)
        })?;
        netns.ip(&format!("xfrm policy add {SELECTOR} action block"))?;
        while !self.text()?.contains("policy_new") {}
        netns.ip(&format!("xfrm policy delete {SELECTOR}"))?;
        while !self.text()?.contains("policy_delete") {}
        Ok(())
    }

    /// The next line.
    ///
    /// # Errors
    /// When none comes.
    pub fn text(&self) -> Result<String> {
        self.0.recv_timeout(PATIENCE).context("no line has come")
    }

    /// The next line, of JSON.
    ///
    /// # Errors
    /// When none comes.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.text()?)?)
    }

    /// The next line of JSON that tells of this event.
    ///
    /// # Errors
    /// When none comes.
    pub fn of_event(&self, event: &str) -> Result<Value> {
        loop {
            let line = self.json().with_context(|| format!("no {event}"))?;
            if line["event"] == event {
                return Ok(line);
            }
        }
    }
}
