//! The agent under `strace`, which ends or slows it at a chosen system call: no hook in the agent is needed for it.

use crate::{agent::Binary, netns::Netns, run, wait};
use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// `run` under strace. The agent is killed when this is dropped.
#[derive(Debug)]
pub struct Traced {
    strace: Child,
    logs: TempDir,
    ended: Option<ExitStatus>,
}

impl Traced {
    /// Starts `run --iface IFACE -c CONFIG` with what strace calls an injection, such as
    /// `sendto:signal=SIGKILL:when=3`. Calls are counted by thread; the first thread applies a configuration.
    ///
    /// # Errors
    /// No agent was built, or there is no strace.
    pub fn run(netns: &Netns, iface: &str, config: &Path, injection: &str) -> Result<Self> {
        let logs = tempfile::tempdir().context("failed to make a directory for the log")?;
        let agent = Binary::find()?.command(netns);
        let mut command: Command = netns.command("strace");
        let calls = injection.split(':').next().unwrap_or_default();
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={injection}")]).arg(agent.get_program());
        command.args(["run", "--iface", iface, "--metrics", "127.0.0.1:9754", "-c"]).arg(config);
        command.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = std::fs::File::create(logs.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let strace = command.spawn().with_context(|| format!("failed to start {}", run::line(&command)))?;
        Ok(Self { strace, logs, ended: None })
    }

    /// Waits for the end, by itself or by the injection, unless `done` comes true first; the agent is killed then.
    /// The status of an agent that ended before that.
    ///
    /// # Errors
    /// Neither came within the deadline.
    pub fn wait(&mut self, deadline: Duration, mut done: impl FnMut() -> bool) -> Result<Option<ExitStatus>> {
        let ended = wait::until(deadline, "the traced agent", || match self.strace.try_wait() {
            Ok(Some(status)) => Some(Some(status)),
            Ok(None) if done() => Some(None),
            Ok(None) | Err(_) => None,
        });
        self.ended = ended.with_context(|| self.log())?;
        Ok(self.ended)
    }

    /// All that the agent has said.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.logs.path().join("log")).unwrap_or_default()
    }

    /// The process under strace: its only child, which exists as long as it does.
    fn end(&mut self) -> Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        let pid = self.strace.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            match kill(Pid::from_raw(child.parse()?), Signal::SIGKILL) {
                Ok(()) | Err(nix::Error::ESRCH) => {}
                Err(error) => bail!("failed to end {child}: {error}"),
            }
        }
        self.ended = Some(self.strace.wait()?);
        Ok(())
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            // A destructor has nobody to return it to.
            eprintln!("failed to end a traced agent: {error:#}");
        }
    }
}

/// Asserts that a process ended by SIGKILL.
///
/// # Errors
/// It did not.
pub fn killed(status: ExitStatus, log: &str) -> Result<()> {
    ensure!(status.signal() == Some(Signal::SIGKILL as i32), "it ended with {status}: {log}");
    Ok(())
}
