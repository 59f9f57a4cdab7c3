//! What the running agent is asked while it runs: a UNIX socket in its state directory, one line of JSON each way.
//!
//! Only root reaches it: the directory has mode 0700 and the socket 0600. Keys cross it, so buffers are wiped.

pub mod client;
pub mod server;

use crate::instance::Instance;
use crate::rotation::Keying;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;
use tokio::sync::{mpsc, oneshot};

/// More than the keys of one tunnel ever take.
const LINE: usize = 64 * 1024;

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Begin a rotation.
    Rotate {
        /// Tunnel.
        tunnel: String,
        /// Outer address of the gateway that the keys are for.
        local: IpAddr,
        /// The new keys.
        keying: Box<Keying>,
        /// When the outbound SA is switched.
        outbound: When,
        /// From there on to the removal of the old inbound SA, ms.
        grace_ms: u64,
    },
    /// Switch the outbound SA now.
    Switch {
        /// Tunnel.
        tunnel: String,
    },
    /// Remove the old inbound SA now.
    Finish {
        /// Tunnel.
        tunnel: String,
    },
    /// Give a rotation up before its switch.
    Cancel {
        /// Tunnel.
        tunnel: String,
    },
}

/// When the outbound SA is switched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// By [`Request::Switch`].
    Command,
    /// At a time of day, ms since the epoch.
    At(u64),
    /// After a span, ms.
    After(u64),
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Exit code of the command; 0 is success.
    pub code: u8,
    /// For people.
    pub text: String,
}

/// A request on its way to the engine.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes. Whoever asked may be gone.
    pub answer: oneshot::Sender<Answer>,
}

/// The engine's end.
pub type Calls = mpsc::Receiver<Call>;

fn path(instance: &Instance) -> PathBuf {
    instance.state_dir.join("control.sock")
}
