//! IKE daemons between the gateways of the lab, as `cargo xtask setup` has unpacked them: each in a namespace, with
//! files of its own, ended with its handle.

mod beside;
mod libreswan;
mod strongswan;
mod unpacked;

pub use beside::rekeys_cost_no_packet;
pub use libreswan::Libreswan;
pub use strongswan::Strongswan;

use crate::lab::{Lab, Outer, Side};
use crate::{netns::Netns, run};
use anyhow::{Context, Result};
use std::{
    fs::File,
    io::Read as _,
    net::IpAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A running daemon with one connection and one child.
pub trait Daemon: Sized {
    /// Counters of the kernel that own up to what a rekey of this daemon loses by itself, guards or not.
    const LOST_AT_A_REKEY: &'static [&'static str];

    /// Starts it on a gateway.
    ///
    /// # Errors
    /// It was not unpacked, or cannot be started.
    fn start(end: End) -> Result<Self>;

    /// Has it read the connection, once it listens.
    ///
    /// # Errors
    /// What it says.
    fn load(&self) -> Result<()>;

    /// Has it set up the tunnel.
    ///
    /// # Errors
    /// What it says.
    fn initiate(&self) -> Result<()>;

    /// Its name and version.
    ///
    /// # Errors
    /// When it cannot be asked.
    fn version(&self) -> Result<String>;

    /// Has it negotiate new SAs for the tunnel. Does not wait for them.
    ///
    /// # Errors
    /// What it says.
    fn rekey(&self) -> Result<()>;
}

/// One on either gateway, and the tunnel between them.
fn pair<D: Daemon>(lab: &Lab) -> Result<[D; 2]> {
    let [a, b] = End::both(lab)?;
    let pair = [D::start(a)?, D::start(b)?];
    pair.iter().try_for_each(D::load)?;
    pair[0].initiate()?;
    Ok(pair)
}

/// The process of a daemon. Its namespace goes with it, and the SAs with that.
#[derive(Debug)]
struct Running(Child);

impl Running {
    /// Starts it, with what it says in a file.
    fn start(command: &mut Command, output: &Path) -> Result<Self> {
        let output = File::create(output).context("failed to make a log file")?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = run::tied(command).spawn();
        child.map(Self).with_context(|| format!("failed to start {}", run::line(command)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("failed to end an IKE daemon: {error}");
        }
    }
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub struct End {
    netns: Netns,
    local: IpAddr,
    remote: IpAddr,
    local_net: &'static str,
    remote_net: &'static str,
    /// The pre-shared key, in hex: made for one test.
    secret: String,
}

impl End {
    /// Both ends, the outside and the networks of the sites over IPv4.
    fn both(lab: &Lab) -> Result<[Self; 2]> {
        let mut secret = [0_u8; 32];
        let mut random = File::open("/dev/urandom").context("failed to open /dev/urandom")?;
        random.read_exact(&mut secret).context("failed to read /dev/urandom")?;
        let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let end = |netns: &Netns, here: Side, there: Side| Self {
            netns: netns.clone(),
            local: Outer::V4.server(here),
            remote: Outer::V4.server(there),
            local_net: here.nets()[0],
            remote_net: there.nets()[0],
            secret: secret.clone(),
        };
        Ok([end(&lab.server_a, Side::A, Side::B), end(&lab.server_b, Side::B, Side::A)])
    }
}
