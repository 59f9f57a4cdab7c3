//! The kernel's answer to a request: an errno, and its own words where it has some.

use super::fields::{DecodeError, Fields};
use super::frame::{Frame, HEADER};
use std::fmt;
use std::io;

/// `NLMSG_ERROR`.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub const DONE: u16 = 3;

/// Why the kernel refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetlinkError {
    /// The errno, positive.
    pub errno: i32,
    /// `NLMSGERR_ATTR_MSG`.
    pub ext_ack: Option<String>,
    /// What the errno means for this object and what to do about it.
    pub hint: Option<String>,
}

impl NetlinkError {
    /// An errno without more words.
    #[must_use]
    pub const fn new(errno: i32) -> Self {
        Self { errno, ext_ack: None, hint: None }
    }

    /// With an explanation, unless it has one.
    #[must_use]
    pub fn explained(mut self, hint: Option<String>) -> Self {
        self.hint = self.hint.or(hint);
        self
    }
}

impl From<io::Error> for NetlinkError {
    fn from(error: io::Error) -> Self {
        let Some(errno) = error.raw_os_error() else {
            return Self::new(libc::EIO).explained(Some(error.to_string()));
        };
        let silent = errno == libc::EAGAIN;
        Self::new(errno).explained(silent.then(|| "the kernel did not answer in time".to_owned()))
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", io::Error::from_raw_os_error(self.errno))?;
        if let Some(text) = &self.ext_ack {
            write!(f, ", the kernel says \"{text}\"")?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

impl std::error::Error for NetlinkError {}

/// Reads `NLMSG_ERROR` or `NLMSG_DONE`: both begin with an errno and may end with extended-ack attributes.
///
/// # Errors
/// [`DecodeError::Short`] when there is no errno.
pub fn read(frame: &Frame<'_>) -> Result<Result<(), NetlinkError>, DecodeError> {
    /// `NLM_F_CAPPED`: the request is not echoed, only its header.
    const CAPPED: u16 = 0x100;
    /// `NLM_F_ACK_TLVS`.
    const ACK_TLVS: u16 = 0x200;
    /// `NLMSGERR_ATTR_MSG`.
    const MSG: u16 = 1;
    let fields = Fields::new(frame.body);
    let errno = i32::from_ne_bytes(fields.array(0)?);
    if errno == 0 {
        return Ok(Ok(()));
    }
    let echoed = match (frame.kind, frame.flags & CAPPED) {
        (DONE, _) => 0,
        (_, 0) => usize::try_from(fields.u32(4)?).unwrap_or(usize::MAX),
        (_, _) => HEADER,
    };
    let start = echoed.checked_next_multiple_of(4).and_then(|len| len.checked_add(4));
    let attrs = start.filter(|_| frame.flags & ACK_TLVS != 0).map(|at| fields.attrs(at));
    let ext_ack = attrs.and_then(|attrs| text(attrs.find(MSG)?));
    Ok(Err(NetlinkError { errno: errno.saturating_neg(), ext_ack, hint: None }))
}

fn text(fields: Fields<'_>) -> Option<String> {
    let text = String::from_utf8_lossy(fields.rest());
    let text = text.trim_end_matches(['\0', '\n', '.']);
    (!text.is_empty()).then(|| text.to_owned())
}
