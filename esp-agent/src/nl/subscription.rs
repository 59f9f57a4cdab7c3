//! Multicast messages of one family, asynchronously.

use super::frame::{Frame, Frames};
use super::socket::{Buffer, Socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::os::fd::AsFd as _;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Bytes of events that wait for a busy agent if nobody says otherwise: some ten thousand SA events.
pub const ROOM: usize = 16 * 1024 * 1024;

/// A socket that has joined groups.
pub struct Subscription {
    socket: AsyncFd<netlink_sys::Socket>,
    buffer: Buffer,
}

impl Subscription {
    /// Joins `groups` of `family` in the network namespace of this thread, with a receive buffer of `room` bytes.
    ///
    /// # Errors
    /// What the kernel says. Fails outside of a tokio runtime with I/O.
    pub fn join(family: isize, groups: &[u32], room: usize) -> io::Result<Self> {
        let socket = Socket::open(family)?.subscribe(groups, room)?;
        // SAFETY: netlink_sys::Socket owns its descriptor for its whole life, and nothing here takes it out or
        // replaces it while the AsyncFd owns it.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE)? };
        Ok(Self { socket, buffer: Buffer::default() })
    }

    /// Joins more groups of the family; those that it has joined already stay as they are.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn join_too(&mut self, groups: &[u32]) -> io::Result<()> {
        groups.iter().try_for_each(|group| self.socket.get_mut().add_membership(*group))
    }

    /// True when all that the kernel has sent was received.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_drained(&self) -> io::Result<bool> {
        // A look alone: a receive would take an error (ENOBUFS) away from `next`.
        let mut socket = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        Ok(poll(&mut socket, PollTimeout::ZERO)? == 0)
    }

    /// Waits for a datagram and gives each of its messages to `decode`; `lost` stands for messages that the
    /// kernel dropped (`ENOBUFS`) and `broken` for what cannot be framed. The datagram is wiped. Cancel safe.
    ///
    /// # Errors
    /// What the kernel says, but for `ENOBUFS`.
    pub async fn next<T>(
        &mut self,
        decode: impl Fn(&Frame<'_>) -> Option<T>,
        lost: impl FnOnce() -> T,
        broken: impl Fn() -> T,
    ) -> io::Result<Vec<T>> {
        loop {
            let mut ready = self.socket.readable().await?;
            let Ok(received) = ready.try_io(|socket| self.buffer.fill(socket.get_ref())) else {
                continue;
            };
            match received {
                Ok(()) => return Ok(self.split(decode, broken)),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(vec![lost()]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn split<T>(&mut self, decode: impl Fn(&Frame<'_>) -> Option<T>, broken: impl Fn() -> T) -> Vec<T> {
        let events = match self.buffer.datagram() {
            Ok(datagram) => Frames::new(datagram)
                .filter_map(|frame| frame.map_or_else(|_| Some(broken()), |frame| decode(&frame)))
                .collect(),
            Err(_) => vec![broken()],
        };
        self.buffer.wipe();
        events
    }
}
