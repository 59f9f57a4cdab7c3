//! The agent as a process.

pub mod http;
mod launch;

pub use launch::{Binary, DURABLE, Launch};

use crate::{
    netns::Netns,
    promtext::Scrape,
    run,
    wait::{until, until_ok},
};
use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    process::{Child, ExitStatus, Output},
    time::Duration,
};
use tempfile::TempDir;

/// For what an agent does at once on real hardware. Under software emulation the verifier alone takes half a minute.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// For a start: under emulation the verifier of an old kernel takes half a minute for each program, and hosts start together.
const START: Duration = Duration::from_secs(300);

/// A running agent. It is killed when this is dropped; its pins and XFRM objects stay, as after any SIGKILL.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    binary: Binary,
    netns: Netns,
    metrics: SocketAddr,
    logs: TempDir,
    ended: Option<ExitStatus>,
}

impl Agent {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has written to its standard output and standard error.
    #[must_use]
    pub fn log(&self) -> String {
        ["stdout", "stderr"]
            .map(|name| std::fs::read_to_string(self.logs.path().join(name)).unwrap_or_default())
            .concat()
    }

    /// The answer to a GET: status and body.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        http::get(&self.netns, self.metrics, path)
    }

    /// Waits until `/ready` says yes.
    ///
    /// # Errors
    /// When it ends before, or takes too long: with its log.
    pub fn wait_ready(&mut self) -> Result<()> {
        let ready = until(START, "/ready", || {
            if let Err(error) | Ok(Some(Err(error))) = self.ended_early() {
                return Some(Err(error));
            }
            matches!(self.get("/ready"), Ok((200, _))).then_some(Ok(()))
        });
        ready.and_then(|result| result).with_context(|| format!("its log:\n{}", self.log()))
    }

    /// One scrape of `/metrics`.
    ///
    /// # Errors
    /// When the answer is not 200 or not in the text format.
    pub fn scrape(&self) -> Result<Scrape> {
        let (status, body) = self.get("/metrics")?;
        ensure!(status == 200, "/metrics answered {status}: {body}");
        Scrape::parse(&body)
    }

    /// The sum of a metric over the series with these labels; 0 where there is none.
    ///
    /// # Errors
    /// When the scrape fails.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<u64> {
        Ok(self.scrape()?.sum(name, labels).unwrap_or(0))
    }

    /// Waits until a metric has at least this value, and gives it.
    ///
    /// # Errors
    /// When the deadline passes: with the last value.
    pub fn wait_metric(&self, name: &str, labels: &[(&str, &str)], least: u64) -> Result<u64> {
        until_ok(PATIENCE, &format!("{name}{labels:?} >= {least}"), || {
            let value = self.metric(name, labels)?;
            ensure!(value >= least, "it is {value}");
            Ok(value)
        })
    }

    /// Runs another command of the same binary beside it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn beside(&self, args: &[&str]) -> Result<Output> {
        run::output(self.binary.command(&self.netns).args(args))
    }

    /// `status --json`.
    ///
    /// # Errors
    /// When the command fails or prints no JSON.
    pub fn status_json(&self) -> Result<serde_json::Value> {
        self.binary.status_json(&self.netns)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(self.ended.is_none(), "the agent has ended");
        kill(Pid::from_raw(i32::try_from(self.pid())?), signal)
            .with_context(|| format!("failed to send {signal} to {}", self.pid()))
    }

    /// Sends SIGTERM and waits for the end: the exit code.
    ///
    /// # Errors
    /// When it does not end in time or ends by a signal: with its log.
    pub fn stop(&mut self) -> Result<i32> {
        self.signal(Signal::SIGTERM)?;
        self.wait_exit(PATIENCE)
    }

    /// Waits for the end: the exit code.
    ///
    /// # Errors
    /// When it does not end in time or ends by a signal: with its log.
    pub fn wait_exit(&mut self, deadline: Duration) -> Result<i32> {
        let status = until(deadline, "the agent to end", || self.try_wait().transpose())
            .and_then(|status| status)
            .with_context(|| format!("its log:\n{}", self.log()))?;
        status.code().with_context(|| format!("the agent ended by signal {:?}", status.signal()))
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        if self.ended.is_none() {
            // Signals a process only while it is not reaped, so never a stranger with the same number.
            self.child.kill()?;
            self.ended = Some(self.child.wait()?);
        }
        Ok(())
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().context("failed to wait for the agent")?;
        }
        Ok(self.ended)
    }

    fn ended_early(&mut self) -> Result<Option<Result<()>>> {
        let early = self.try_wait()?;
        Ok(early.map(|status| bail!("the agent ended with {status} before it was ready")))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            // A destructor has nobody to return it to.
            eprintln!("failed to end the agent {}: {error:#}", self.pid());
        }
    }
}
