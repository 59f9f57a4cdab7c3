//! One netlink socket and its receive buffer.

use super::fields::DecodeError;
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike as _};
use std::io;
use std::os::fd::{AsFd as _, FromRawFd as _, IntoRawFd as _};
use zeroize::{Zeroize as _, Zeroizing};

/// Messages of a dump come in datagrams of at most 32 KiB (Linux `netlink_recvmsg`), events are smaller.
const BUFFER: usize = 64 * 1024;

/// A socket of one netlink family in the network namespace of the thread that opened it.
pub struct Socket {
    socket: netlink_sys::Socket,
    port: u32,
}

impl Socket {
    /// Opens it with extended acks, and without the request echoed in them (it may hold keys).
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` when the kernel lacks the family.
    pub fn open(family: isize) -> io::Result<Self> {
        let mut socket = netlink_sys::Socket::new(family)?;
        let port = socket.bind_auto()?.port_number();
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self { socket, port })
    }

    /// Its port: what an event names as the cause of a change.
    #[must_use]
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// Lets the kernel leave out of a dump what the request does not ask for (`NETLINK_GET_STRICT_CHK`, Linux 4.20).
    ///
    /// # Errors
    /// What the kernel says.
    pub fn filter_strictly(&self) -> io::Result<()> {
        self.socket.set_netlink_get_strict_chk(true)
    }

    /// A second handle of the same socket.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn try_clone(&self) -> io::Result<Self> {
        let fd = self.socket.as_fd().try_clone_to_owned()?.into_raw_fd();
        // SAFETY: `fd` is a netlink socket that was just given up by its owner, so nobody else closes it.
        let socket = unsafe { netlink_sys::Socket::from_raw_fd(fd) };
        Ok(Self { socket, port: self.port })
    }

    /// Joins multicast `groups` with a receive buffer of `room` bytes, and turns to non-blocking.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn subscribe(self, groups: &[u32], room: usize) -> io::Result<netlink_sys::Socket> {
        // SO_RCVBUFFORCE needs CAP_NET_ADMIN in the initial user namespace; a smaller buffer only overruns sooner.
        if setsockopt(&self.socket, sockopt::RcvBufForce, &room).is_err() {
            setsockopt(&self.socket, sockopt::RcvBuf, &room)?;
        }
        for group in groups {
            self.socket.add_membership(*group)?;
        }
        self.socket.set_non_blocking(true)?;
        Ok(self.socket)
    }

    /// Makes [`Socket::receive`] fail with `EAGAIN` after `seconds` of silence.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_timeout(&self, seconds: i64) -> io::Result<()> {
        Ok(setsockopt(&self.socket, sockopt::ReceiveTimeout, &TimeVal::seconds(seconds))?)
    }

    /// Sends one message to the kernel.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        self.socket.send_to(message, &netlink_sys::SocketAddr::new(0, 0), 0).map(|_| ())
    }

    /// Waits for one datagram into `buffer`.
    ///
    /// # Errors
    /// `EAGAIN` after the timeout, and what the kernel says.
    pub fn receive(&self, buffer: &mut Buffer) -> io::Result<()> {
        buffer.fill(&self.socket)
    }
}

/// The last datagram. It may hold keys: wiped before the next one and when dropped.
pub struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    len: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: Zeroizing::new(vec![0; BUFFER]), len: 0 }
    }
}

impl Buffer {
    /// Receives one datagram from `socket`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn fill(&mut self, socket: &netlink_sys::Socket) -> io::Result<()> {
        self.wipe();
        // With MSG_TRUNC the result is the datagram's own length, also when it is longer than the buffer.
        self.len = socket.recv(&mut self.bytes.as_mut_slice(), libc::MSG_TRUNC)?;
        Ok(())
    }

    /// The datagram.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when it was longer than the buffer.
    pub fn datagram(&self) -> Result<&[u8], DecodeError> {
        self.bytes.get(..self.len).ok_or(DecodeError::Truncated(self.len))
    }

    /// Overwrites the datagram.
    pub fn wipe(&mut self) {
        let end = self.len.min(BUFFER);
        if let Some(used) = self.bytes.get_mut(..end) {
            used.zeroize();
        }
        self.len = 0;
    }
}
