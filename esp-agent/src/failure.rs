//! Why a command ends without doing what it was asked, and with which exit code.

use crate::apply::{ApplyError, Cause};
use crate::config::{ConfigErrors, NoDevice};
use crate::control::client::ControlError;
use crate::datapath::DatapathError;
use crate::instance::InstanceError;
use crate::keys::private::PrivateError;
use crate::net::NetError;
use crate::plan::Conflict;
use crate::record::RecordError;
use crate::rotation::RotationError;
use crate::sequence::LedgerError;
use crate::xfrm::XfrmError;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

/// `EX_USAGE`: usage or configuration.
pub const USAGE: u8 = 64;
/// `EX_UNAVAILABLE`: the kernel lacks something.
const LACKS: u8 = 69;
/// `EX_NOPERM`.
const NOT_PERMITTED: u8 = 77;

/// A command failed.
#[derive(Debug)]
pub enum Failure {
    /// The configuration.
    Config(ConfigErrors),
    /// The command line asks for nothing that can be done.
    Usage(&'static str),
    /// Capabilities are missing.
    NotPermitted(String),
    /// An interface is not there.
    NoInterface(String),
    /// An interface that the configuration names is not there.
    NoDevice(NoDevice),
    /// The kernel lacks something that was asked for: a whole sentence.
    Lacks(String),
    /// The instance is in use, or cannot be told.
    Instance(InstanceError),
    /// The datapath.
    Datapath(DatapathError),
    /// The kernel's SAs and policies.
    Xfrm(XfrmError),
    /// Links and addresses.
    Net(NetError),
    /// The record of what is ours.
    Record(RecordError),
    /// The sequence numbers of our SAs.
    Ledger(LedgerError),
    /// Objects of others stand where ours should be.
    Conflicts(Vec<Conflict>),
    /// The plan could not be carried out.
    Apply(Box<ApplyError>),
    /// The running agent could not be asked.
    Control(ControlError),
    /// The running agent refused: its exit code and what it said.
    Answered(u8, String),
    /// Keys are not rotated.
    Rotation(RotationError),
    /// A file with keys.
    Private(PrivateError),
    /// The metrics' address.
    Listen(SocketAddr, io::Error),
    /// What the command prints could not be written.
    Output(io::Error),
    /// A task of the agent ended.
    Task(&'static str, Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// 64 for usage and configuration, 69 where the kernel lacks something, 77 where a permission does, else 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The number of [`Failure::exit_code`].
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Answered(code, _) => *code,
            Self::Config(_) | Self::Usage(_) => USAGE,
            Self::Rotation(error) if error.is_usage() => USAGE,
            Self::NotPermitted(_) => NOT_PERMITTED,
            Self::Lacks(_) => LACKS,
            Self::Datapath(error) if error.lacks() => LACKS,
            Self::Xfrm(error) => of_xfrm(error),
            Self::Apply(error) => match &error.cause {
                Cause::Observe(error) | Cause::Step { source: error, .. } => of_xfrm(error),
                Cause::Sequence(_)
                | Cause::Record(_)
                | Cause::Taken { .. }
                | Cause::NoKeys { .. }
                | Cause::NotRecorded { .. } => 1,
            },
            Self::Datapath(_)
            | Self::NoInterface(_)
            | Self::NoDevice(_)
            | Self::Instance(_)
            | Self::Net(_)
            | Self::Record(_)
            | Self::Ledger(_)
            | Self::Conflicts(_)
            | Self::Control(_)
            | Self::Private(_)
            | Self::Rotation(_)
            | Self::Listen(..)
            | Self::Output(_)
            | Self::Task(..) => 1,
        }
    }
}

fn of_xfrm(error: &XfrmError) -> u8 {
    if error.lacks() {
        LACKS
    } else if error.not_permitted() {
        NOT_PERMITTED
    } else {
        1
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(errors) => write!(f, "{errors}"),
            Self::Usage(text) => f.write_str(text),
            Self::NotPermitted(text) => f.write_str(text),
            Self::NoInterface(name) => write!(
                f,
                "failed to find interface {name} in this network namespace: `ip link` lists those that are there"
            ),
            Self::Lacks(text) => f.write_str(text),
            Self::NoDevice(error) => write!(f, "{error}"),
            Self::Instance(error) => chain(f, error),
            Self::Datapath(error) => chain(f, error),
            Self::Xfrm(error) => chain(f, error),
            Self::Net(error) => chain(f, error),
            Self::Record(error) => chain(f, error),
            Self::Ledger(error) => chain(f, error),
            Self::Conflicts(conflicts) => {
                write!(f, "objects of others stand where ours should be, nothing was changed")?;
                conflicts.iter().try_for_each(|conflict| write!(f, "\n  {conflict}"))
            }
            Self::Apply(error) => write!(f, "{error}"),
            Self::Control(error) => write!(f, "{error}"),
            Self::Answered(_, text) => f.write_str(text),
            Self::Private(error) => write!(f, "{error}"),
            Self::Rotation(error) => write!(f, "{error}"),
            Self::Listen(addr, error) => {
                write!(f, "failed to serve metrics on {addr}: {error}: choose another address with --metrics")
            }
            Self::Output(error) => write!(f, "failed to print: {error}"),
            Self::Task(name, error) => {
                write!(f, "task {name} ended: ")?;
                chain(f, &**error)
            }
        }
    }
}

/// An error and its causes; a cause whose text stands in the text before it already is left out.
fn chain(f: &mut fmt::Formatter<'_>, error: &(dyn Error + 'static)) -> fmt::Result {
    let mut said = error.to_string();
    f.write_str(&said)?;
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.contains(&text) {
            write!(f, ": {text}")?;
            said = text;
        }
        next = cause.source();
    }
    Ok(())
}

impl Error for Failure {}

macro_rules! from {
    ($($error:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )+};
}

from! {
    ConfigErrors => Config,
    InstanceError => Instance,
    DatapathError => Datapath,
    XfrmError => Xfrm,
    NetError => Net,
    RecordError => Record,
    LedgerError => Ledger,
    ControlError => Control,
    PrivateError => Private,
    RotationError => Rotation,
    Vec<Conflict> => Conflicts,
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        Self::Apply(Box::new(error))
    }
}
