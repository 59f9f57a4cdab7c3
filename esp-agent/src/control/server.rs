//! The agent's end.

use super::{Answer, Call, Calls, LINE, Request, path};
use crate::failure::USAGE;
use crate::instance::Instance;
use crate::keys::private;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// How long a client may take to say what it wants: others wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The socket, removed when this is dropped.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    calls: mpsc::Sender<Call>,
}

impl Control {
    /// Makes the socket of `instance`, whose lock the caller holds: one that is there is a leftover.
    ///
    /// # Errors
    /// It cannot be made: its path may be longer than the 107 bytes that a socket's may have.
    pub fn listen(instance: &Instance) -> io::Result<(Self, Calls)> {
        let path = path(instance);
        private::remove(&path)?;
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let (calls, received) = mpsc::channel(1);
        Ok((Self { listener, path, calls }, received))
    }

    /// Serves one client after the other until `stop`.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        loop {
            let (stream, _) = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = self.listener.accept() => accepted?,
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                served = self.client(stream) => if let Err(error) = served {
                    tracing::debug!("a client of the control socket went away: {error}");
                },
            }
        }
    }

    async fn client(&self, mut stream: UnixStream) -> io::Result<()> {
        let line = tokio::time::timeout(PATIENCE, line(&mut stream)).await??;
        let answer = match serde_json::from_slice(&line) {
            // The parser's own text could show a key.
            Err(_) => Answer { code: USAGE, text: "the request is not one that this version knows".into() },
            Ok(request) => self.ask(request).await,
        };
        let mut bytes = serde_json::to_vec(&answer)?;
        bytes.push(b'\n');
        tokio::time::timeout(PATIENCE, stream.write_all(&bytes)).await?
    }

    async fn ask(&self, request: Request) -> Answer {
        let ends = || Answer { code: 1, text: "the agent is about to end".into() };
        let (answer, answered) = oneshot::channel();
        match self.calls.send(Call { request, answer }).await {
            Ok(()) => answered.await.unwrap_or_else(|_| ends()),
            Err(_) => ends(),
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Err(error) = private::remove(&self.path) {
            tracing::warn!("failed to remove {}: {error}", self.path.display());
        }
    }
}

/// Up to the newline. The buffer does not grow: that would leave copies of keys behind.
async fn line(stream: &mut UnixStream) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE));
    while bytes.len() < LINE && !bytes.ends_with(b"\n") {
        let room = (LINE - bytes.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut *bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes)
}
