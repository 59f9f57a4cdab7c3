//! The lab's steps with what was seen, as a table.

mod bonus;
mod by_hand;
mod count;
mod fault;
mod leave;
mod protect;
mod site;
mod table;

pub use by_hand::check;
pub use table::{Found, Table, found};

use crate::{
    agent::Binary,
    capture::{Capture, Traffic},
    lab::Lab,
};
use anyhow::Result;
use site::Site;
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// What the demo needs.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The agent.
    pub binary: Binary,
    /// Directory of the lab's example configurations.
    pub examples: PathBuf,
}

impl Setup {
    /// With the examples that come with the agent's source.
    #[must_use]
    pub fn new(binary: Binary) -> Self {
        Self { binary, examples: Path::new(env!("CARGO_MANIFEST_DIR")).join("../esp-agent/dist/examples") }
    }
}

/// The lab while the demo runs.
#[derive(Debug)]
struct Stage {
    lab: Lab,
    router: Capture,
    a: Site,
    b: Site,
    /// What the router saw of the tunnel's first pings.
    tunnel: Traffic,
}

/// Runs the lab's steps with the agent on both gateways; prints a row for each. True when all are as expected.
///
/// # Errors
/// When the lab cannot be built or the table cannot be written.
pub fn demo(setup: &Setup, out: impl Write) -> Result<bool> {
    let mut table = Table::new(out, "the reference lab, driven by esp-agent")?;
    let lab = Lab::new()?;
    let mut stage = Stage {
        router: lab.watch_router()?,
        a: Site::new(setup, "site-b", &lab.server_a, "eth5", "lab-server-a.toml"),
        b: Site::new(setup, "site-a", &lab.server_b, "eth6", "lab-server-b.toml"),
        tunnel: Traffic::default(),
        lab,
    };
    protect::rows(&mut stage, &mut table)?;
    count::rows(&mut stage, &mut table)?;
    fault::rows(&mut stage, &mut table)?;
    leave::rows(&mut stage, &mut table)?;
    bonus::rows(&mut stage, &mut table)?;
    Ok(table.close()?)
}
