//! GET from inside a namespace.

use crate::netns::Netns;
use anyhow::Result;
use std::{net::SocketAddr, time::Duration};

/// Above what a scrape of a full table takes under software emulation.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Status and body.
///
/// # Errors
/// When nobody listens, or the answer is no HTTP.
pub fn get(netns: &Netns, server: SocketAddr, path: &str) -> Result<(u16, String)> {
    netns.run_in(|| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        let agent: ureq::Agent = config.timeout_global(Some(TIMEOUT)).build().into();
        let mut answer = agent.get(format!("http://{server}{path}")).call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    })
}
