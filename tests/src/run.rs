//! Processes that end by themselves.

use anyhow::{Context, Result, bail};
use nix::sys::{prctl, signal::Signal};
use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("failed to start {}", line(command)))
}

/// Runs a command to its end and gives what it printed.
///
/// # Errors
/// When it cannot be started or does not succeed: with all that it said.
pub fn text(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}{}", line(command), output.status, stdout, stderr.trim_end());
    }
    Ok(stdout)
}

/// Has what the command starts killed when the calling thread ends without it: it would outlive a test that is killed,
/// and its namespace too.
pub fn tied(command: &mut Command) -> &mut Command {
    // SAFETY: one system call.
    unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) }
}

/// The command line, for messages.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
