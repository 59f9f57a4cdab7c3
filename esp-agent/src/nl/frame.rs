//! Messages inside one datagram.

use super::fields::{DecodeError, Fields};

/// `struct nlmsghdr` is 16 bytes.
pub const HEADER: usize = 16;

/// One message: its header's fields and what follows the header.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub seq: u32,
    /// `nlmsg_pid`: in an event, what the request for the change had there: the port of our own sockets, often 0 for others.
    pub port: u32,
    /// The payload.
    pub body: &'a [u8],
}

/// The messages of a datagram. A broken length is an error, once, and ends them.
pub struct Frames<'a>(&'a [u8]);

impl<'a> Frames<'a> {
    /// Over a datagram as it was received.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }

    fn split(&mut self) -> Result<Frame<'a>, DecodeError> {
        let bytes = std::mem::take(&mut self.0);
        let head = Fields::new(bytes);
        let len = usize::try_from(head.u32(0)?).unwrap_or(usize::MAX);
        let short = DecodeError::Short { need: len.max(HEADER), have: bytes.len() };
        let body = bytes.get(HEADER..len).ok_or(short)?;
        let frame =
            Frame { kind: head.u16(4)?, flags: head.u16(6)?, seq: head.u32(8)?, port: head.u32(12)?, body };
        self.0 = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Ok(frame)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.split())
    }
}
