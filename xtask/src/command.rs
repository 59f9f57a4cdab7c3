//! Child processes: shown before they start, gone when xtask goes.

use std::ffi::OsStr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use crate::signals;

mod pump;

pub(crate) use pump::{Keep, joined, pump};

const POLL: Duration = Duration::from_millis(20);
const GRACE: Duration = Duration::from_secs(2);

/// Shows and runs a command.
///
/// # Errors
/// It cannot be started or does not end with status 0.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("failed: {} ({status})", line(command));
    }
    Ok(())
}

/// Shows and runs a command, and hands back how it ended.
pub(crate) fn status(command: &mut Command) -> anyhow::Result<ExitStatus> {
    show(command);
    Guarded::spawn(command)?.wait()
}

/// Shows and runs a command whose standard output is both passed on and kept.
pub(crate) fn tee(command: &mut Command) -> anyhow::Result<(ExitStatus, String)> {
    show(command);
    let mut child = Guarded::spawn(command.stdout(Stdio::piped()))?;
    let copy = child.take_stdout().map(|pipe| pump(pipe, Keep::All, ""));
    let status = child.wait()?;
    Ok((status, copy.map(joined).transpose()?.unwrap_or_default()))
}

/// Runs a query, silently, and hands back its standard output if it ended with status 0.
pub(crate) fn query(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("failed to start {}", line(command)))?;
    if !output.status.success() {
        bail!("failed: {}: {}", line(command), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The exit code that passes `status` on: the code itself, or 128 + signal.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    match status.code() {
        Some(code) => ExitCode::from(code.to_le_bytes()[0]),
        None => signal_code(status.signal().unwrap_or(0)),
    }
}

/// The shell's exit code for a process that a signal ended.
pub(crate) fn signal_code(signal: i32) -> ExitCode {
    ExitCode::from((128 + signal).to_le_bytes()[0])
}

/// The command as one line that a shell takes, with the environment set for it.
pub(crate) fn line(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value)));
    let environment = set
        .filter(|(name, _)| *name != "PATH")
        .map(|(name, value)| format!("{}={}", name.display(), quoted(value)));
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted);
    environment.chain(words).collect::<Vec<_>>().join(" ")
}

/// A word, quoted where a shell would read it otherwise.
pub(crate) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn show(command: &Command) {
    eprintln!("$ {}", line(command));
}

/// A child that is ended when its guard is dropped and when xtask itself dies.
pub(crate) struct Guarded(Child);

impl Guarded {
    /// Starts a command; only from a thread that outlives it, since the kernel ends it with that thread.
    pub(crate) fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let parent = getpid();
        let bind = move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
            SigSet::empty().thread_set_mask()?;
            if getppid() == parent { Ok(()) } else { Err(std::io::ErrorKind::NotFound.into()) }
        };
        // SAFETY: `bind` makes three system calls and allocates nothing, so it may run between fork and exec.
        unsafe { command.pre_exec(bind) };
        let child = command.spawn().with_context(|| format!("failed to start {}", line(command)))?;
        Ok(Self(child))
    }

    /// Waits for the end of the child.
    ///
    /// # Errors
    /// A termination signal arrived first.
    pub(crate) fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.wait_until(Instant::now() + Duration::from_secs(3600))? {
                return Ok(status);
            }
        }
    }

    /// Waits for the end of the child; `None` if `deadline` comes first.
    pub(crate) fn wait_until(&mut self, deadline: Instant) -> anyhow::Result<Option<ExitStatus>> {
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait().context("failed to wait for a child")? {
                return Ok(Some(status));
            }
            if let Some(signal) = signals::caught() {
                bail!("stopped by {signal}");
            }
            std::thread::sleep(POLL);
        }
        Ok(None)
    }

    fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.0.stdout.take()
    }

    fn end(&mut self) -> std::io::Result<()> {
        if self.0.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM)?;
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        self.0.kill()?;
        self.0.wait().map(|_| ())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("xtask: failed to end process {}: {error}", self.0.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("ip");
        command.args(["netns", "it's", ""]).env("A", "b c");
        assert_eq!(line(&command), r"A='b c' ip netns 'it'\''s' ''");
    }

    #[test]
    fn a_dropped_guard_ends_its_child() {
        let child = Guarded::spawn(Command::new("sleep").arg("600")).unwrap();
        let pid = Pid::from_raw(child.0.id().cast_signed());
        drop(child);
        assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
    }

    #[test]
    fn a_deadline_leaves_the_child_running() {
        let mut child = Guarded::spawn(Command::new("sleep").arg("600")).unwrap();
        assert!(child.wait_until(Instant::now() + Duration::from_millis(50)).unwrap().is_none());
        assert!(child.0.try_wait().unwrap().is_none());
    }
}
