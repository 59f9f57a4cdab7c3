//! A network namespace of this process's own, to try SAs in.

use crate::nl::socket::Socket;
use netlink_sys::protocols::NETLINK_XFRM;
use nix::sched::{CloneFlags, unshare};
use std::io;
use std::sync::OnceLock;

/// Made once, since the right to make namespaces is given up at the start and a reload still wants to try. The
/// namespace lives as long as its socket and holds nothing between two trials.
static SOCKET: OnceLock<Result<Socket, (io::ErrorKind, String)>> = OnceLock::new();

/// A handle of the socket; the first call makes the namespace.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn socket() -> io::Result<Socket> {
    let made = SOCKET.get_or_init(|| make().map_err(|error| (error.kind(), error.to_string())));
    match made {
        Ok(socket) => socket.try_clone(),
        Err((kind, text)) => Err(io::Error::new(*kind, text.clone())),
    }
}

fn make() -> io::Result<Socket> {
    let made = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Socket::open(NETLINK_XFRM)
    });
    made.join().map_err(|_| io::Error::other("its thread panicked"))?
}
