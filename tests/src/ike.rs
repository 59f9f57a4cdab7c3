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
use crate::netns::Netns;
use anyhow::{Context, Result};
use std::{fs::File, io::Read as _, net::IpAddr};

/// A running daemon with one connection and one child.
pub trait Daemon {
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

/// One end of a connection.
#[derive(Clone, Debug)]
struct End {
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
