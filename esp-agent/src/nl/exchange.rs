//! Requests and dumps over one blocking socket.

use super::ack::{self, DONE, ERROR, NetlinkError};
use super::fields::DecodeError;
use super::frame::{Frame, Frames};
use super::socket::{Buffer, Socket};
use std::io;

/// The kernel answers in microseconds; a device driver that sets up offload may take longer.
const TIMEOUT_S: i64 = 10;
/// A table that changes at each of so many dumps does not come to rest.
const DUMPS: usize = 8;

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The kernel refused, or the socket failed.
    #[error(transparent)]
    Refused(#[from] NetlinkError),
    /// The answer cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        Self::Refused(error.into())
    }
}

/// A socket for requests, one at a time.
pub struct Exchange {
    socket: Socket,
    buffer: Buffer,
    seq: u32,
}

/// What a datagram said about the exchange that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    More,
    Done,
}

impl Exchange {
    /// Opens a socket of `family`.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(family: isize) -> io::Result<Self> {
        Self::over(Socket::open(family)?)
    }

    /// Uses `socket`, which nobody else uses meanwhile.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn over(socket: Socket) -> io::Result<Self> {
        socket.set_timeout(TIMEOUT_S)?;
        Ok(Self { socket, buffer: Buffer::default(), seq: 0 })
    }

    /// The socket's port: what an event names as the cause of a change.
    #[must_use]
    pub const fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Sends a finished message with `NLM_F_ACK` and waits for the ack.
    ///
    /// # Errors
    /// The kernel's errno with its text, or an answer that cannot be read.
    pub fn request(&mut self, message: &mut [u8]) -> Result<(), ExchangeError> {
        self.send(message)?;
        loop {
            self.receive()?;
            for frame in Frames::new(self.buffer.datagram()?) {
                let frame = frame?;
                if frame.seq == self.seq && frame.kind == ERROR {
                    return Ok(ack::read(&frame)??);
                }
            }
        }
    }

    /// Sends a finished message with `NLM_F_ACK`, and reads what comes before the ack: the last that `decode` takes.
    ///
    /// # Errors
    /// The kernel's errno with its text, or an answer that cannot be read.
    pub fn ask<T>(
        &mut self,
        message: &mut [u8],
        decode: impl Fn(&Frame<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Option<T>, ExchangeError> {
        self.send(message)?;
        let mut answer = Dump { all: Vec::new(), broken: None, interrupted: false };
        while self.step(&mut answer, &decode)? == Progress::More {}
        self.buffer.wipe();
        match answer.broken {
            Some(error) => Err(error.into()),
            None => Ok(answer.all.pop()),
        }
    }

    /// Sends a finished message with `NLM_F_DUMP` and gathers what `decode` keeps of the answer. Starts again
    /// when the kernel says that the table changed meanwhile (`NLM_F_DUMP_INTR`).
    ///
    /// # Errors
    /// The kernel's errno, an answer that cannot be read, or `EINTR` when the table changes at each attempt.
    pub fn dump<T>(
        &mut self,
        message: &mut [u8],
        decode: impl Fn(&Frame<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Vec<T>, ExchangeError> {
        for _ in 0..DUMPS {
            let mut dump = Dump { all: Vec::new(), broken: None, interrupted: false };
            self.send(message)?;
            while self.step(&mut dump, &decode)? == Progress::More {}
            self.buffer.wipe();
            match (dump.broken, dump.interrupted) {
                (_, true) => {}
                (Some(error), false) => return Err(error.into()),
                (None, false) => return Ok(dump.all),
            }
        }
        let hint = format!("the table changed during each of {DUMPS} dumps");
        Err(NetlinkError::new(libc::EINTR).explained(Some(hint)).into())
    }

    fn step<T>(
        &mut self,
        dump: &mut Dump<T>,
        decode: &impl Fn(&Frame<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Progress, ExchangeError> {
        self.receive()?;
        for frame in Frames::new(self.buffer.datagram()?) {
            let frame = frame?;
            if frame.seq == self.seq && dump.take(&frame, decode)? == Progress::Done {
                return Ok(Progress::Done);
            }
        }
        Ok(Progress::More)
    }

    fn send(&mut self, message: &mut [u8]) -> Result<(), ExchangeError> {
        self.seq = self.seq.wrapping_add(1).max(1);
        if let Some(seq) = message.get_mut(8..).and_then(<[u8]>::first_chunk_mut) {
            *seq = self.seq.to_ne_bytes();
        }
        // XFRM copies it into the events of the change (`km_event.portid` in net/xfrm/xfrm_user.c).
        if let Some(port) = message.get_mut(12..).and_then(<[u8]>::first_chunk_mut) {
            *port = self.port().to_ne_bytes();
        }
        Ok(self.socket.send(message)?)
    }

    fn receive(&mut self) -> Result<(), ExchangeError> {
        loop {
            match self.socket.receive(&mut self.buffer) {
                // A receive with a timeout is not restarted after a signal (signal(7)).
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Ok(result?),
            }
        }
    }
}

struct Dump<T> {
    all: Vec<T>,
    /// Kept until the end: the kernel refuses a next dump (`EBUSY`) while this one is not read to its end.
    broken: Option<DecodeError>,
    interrupted: bool,
}

impl<T> Dump<T> {
    fn take(
        &mut self,
        frame: &Frame<'_>,
        decode: &impl Fn(&Frame<'_>) -> Result<Option<T>, DecodeError>,
    ) -> Result<Progress, ExchangeError> {
        /// `NLM_F_DUMP_INTR`.
        const DUMP_INTR: u16 = 0x10;
        self.interrupted |= frame.flags & DUMP_INTR != 0;
        match frame.kind {
            ERROR | DONE => {
                ack::read(frame)??;
                return Ok(Progress::Done);
            }
            _ => match decode(frame) {
                Ok(found) => self.all.extend(found),
                Err(error) => self.broken = self.broken.take().or(Some(error)),
            },
        }
        Ok(Progress::More)
    }
}
