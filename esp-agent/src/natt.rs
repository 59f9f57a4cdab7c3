//! NAT traversal: the UDP sockets from which the kernel takes encapsulated ESP, and keepalives (RFC 3948).
//!
//! ESP in UDP is decrypted only where a socket with `UDP_ENCAP` is bound to its port, which otherwise an IKE daemon
//! brings. The agent holds one for each address and port of a tunnel, as long as it runs; where another program has
//! the port, it is left to that program.

mod path;
mod socket;

pub use path::{Path, paths};

use serde::{Deserialize, Serialize};
use socket::Encap;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A local end of encapsulated ESP, for `status`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UdpRow {
    /// Address and port.
    pub local: SocketAddr,
    /// The agent has the socket.
    pub held: bool,
    /// Why not, else empty.
    pub note: String,
}

/// The sockets and what was last sent through them.
#[derive(Default)]
pub struct Natt {
    paths: BTreeMap<Path, Keepalive>,
    open: BTreeMap<SocketAddr, Encap>,
    /// Ends without a socket, and why.
    missing: BTreeMap<SocketAddr, String>,
}

/// The last keepalive of a path.
#[derive(Clone, Copy, Default)]
struct Keepalive {
    /// When it was due and tried.
    last: Option<Instant>,
    /// It could not be sent.
    failed: bool,
}

impl Natt {
    /// Opens what `paths` need beside what is open: before the SAs are there, so that none of their packets is lost.
    pub fn prepare(&mut self, paths: &BTreeSet<Path>) {
        for local in paths.iter().map(|path| path.local).collect::<BTreeSet<_>>() {
            self.open(local);
        }
    }

    /// Takes over what is wanted: `prepare`, and the sockets that nothing needs any more are closed.
    pub fn want(&mut self, paths: BTreeSet<Path>) {
        self.prepare(&paths);
        let wanted = |local: &SocketAddr| paths.iter().any(|path| path.local == *local);
        self.open.retain(|local, _| wanted(local));
        self.missing.retain(|local, _| wanted(local));
        let before = std::mem::take(&mut self.paths);
        let kept = |path: &Path| before.get(path).copied().unwrap_or_default();
        self.paths = paths.into_iter().map(|path| (path.clone(), kept(&path))).collect();
    }

    /// Tries again to open what is missing, and sends the keepalives that are due.
    pub fn beat(&mut self, now: Instant) {
        for local in self.missing.keys().copied().collect::<Vec<_>>() {
            self.open(local);
        }
        for (path, keepalive) in &mut self.paths {
            let Some(every) = path.keepalive else { continue };
            let waits = keepalive.last.is_some_and(|last| now.saturating_duration_since(last) < every);
            if let (false, Some(socket)) = (waits, self.open.get(&path.local)) {
                keepalive.last = Some(now);
                keepalive.note(path, socket.keepalive(path.remote));
            }
        }
    }

    /// One line for each local end.
    #[must_use]
    pub fn rows(&self) -> Vec<UdpRow> {
        let open = self.open.keys().map(|local| UdpRow { local: *local, held: true, note: String::new() });
        let missing = self.missing.iter();
        let missing = missing.map(|(local, note)| UdpRow { local: *local, held: false, note: note.clone() });
        open.chain(missing).collect()
    }

    fn open(&mut self, local: SocketAddr) {
        if self.open.contains_key(&local) {
            return;
        }
        match Encap::open(local) {
            Ok(socket) => {
                tracing::info!("udp {local}: the kernel takes encapsulated ESP from it");
                self.open.insert(local, socket);
                self.missing.remove(&local);
            }
            Err(error) => {
                let note = why(&error);
                if self.missing.insert(local, note.clone()).as_ref() != Some(&note) {
                    tracing::warn!("udp {local}: {note}");
                }
            }
        }
    }
}

impl Keepalive {
    /// Says once that keepalives do not go out, and once that they do again.
    fn note(&mut self, Path { local, remote, .. }: &Path, outcome: io::Result<()>) {
        let failed = std::mem::replace(&mut self.failed, outcome.is_err());
        match outcome {
            Ok(()) if failed => tracing::info!("keepalives from {local} to {remote} go out again"),
            Err(error) if !failed => {
                tracing::warn!("failed to send a keepalive from {local} to {remote}, tried again: {error}");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

fn why(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        return "in use by another program: encapsulated ESP is decrypted only if its socket has UDP_ENCAP, as that of \
                an IKE daemon has; keepalives are its business"
            .to_owned();
    }
    format!("failed to open it, encapsulated ESP is not decrypted: {error}")
}

/// What RFC 3948 section 4 asks for.
pub const KEEPALIVE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn path(local: SocketAddr, remote: SocketAddr, keepalive: Option<Duration>) -> Path {
        Path { local, remote, keepalive }
    }

    fn free() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        (socket, addr)
    }

    #[test]
    fn a_port_of_another_program_is_left_to_it_and_taken_when_it_is_free() {
        let (taken, local) = free();
        let mut natt = Natt::default();
        natt.want([path(local, "127.0.0.1:9".parse().unwrap(), None)].into());
        let rows = natt.rows();
        assert!(matches!(rows.as_slice(), [row] if !row.held && row.note.contains("in use")), "{rows:?}");
        drop(taken);
        natt.beat(Instant::now());
        let rows = natt.rows();
        // Without CAP_NET_ADMIN the socket cannot be set up, and the reason is another one.
        assert!(matches!(rows.as_slice(), [row] if row.held || !row.note.contains("in use")), "{rows:?}");
        natt.want(BTreeSet::new());
        assert_eq!(natt.rows(), []);
        UdpSocket::bind(local).unwrap();
    }
}
