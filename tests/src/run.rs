//! Processes that end by themselves.

use anyhow::{Context, Result, bail};
use std::process::{Command, Output};

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

/// The command line, for messages.
#[must_use]
pub fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
