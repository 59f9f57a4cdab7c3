//! The command's end.

use super::{Answer, LINE, Request, path};
use crate::instance::Instance;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use zeroize::Zeroizing;

/// A plan of many thousand steps may be under way.
const PATIENCE: Duration = Duration::from_secs(120);

/// The running agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens.
    #[error(
        "no agent runs as instance {instance}: start it (`esp-agent run`), or name another with --instance"
    )]
    NoAgent {
        /// Instance.
        instance: String,
    },
    /// The conversation broke off.
    #[error("failed to ask the running agent: {0}: `status` shows what it did")]
    Broken(#[from] io::Error),
}

/// Asks the agent of `instance`.
///
/// # Errors
/// There is none, or it does not answer.
pub fn ask(instance: &Instance, request: &Request) -> Result<Answer, ControlError> {
    let mut stream = match UnixStream::connect(path(instance)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(ControlError::NoAgent { instance: instance.name.clone() });
        }
        connected => connected?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Zeroizing::new(Vec::with_capacity(LINE));
    serde_json::to_writer(&mut *line, request).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer).map_err(io::Error::from)?)
}
