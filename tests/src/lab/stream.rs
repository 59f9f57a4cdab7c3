//! Pings that go on beside a test.

use crate::netns::Netns;
use anyhow::{Context, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{collections::BTreeSet, net::IpAddr, process::Child};
use tempfile::NamedTempFile;

/// The requests up to the last answered one that were not answered; those behind it may have been under way.
#[must_use]
pub fn missing(answered: &[u32]) -> Vec<u32> {
    // Two CPUs may bring answers in another order.
    let answered: BTreeSet<u32> = answered.iter().copied().collect();
    let last = answered.last().copied().unwrap_or(0);
    (1..=last).filter(|number| !answered.contains(number)).collect()
}

/// A running ping, and what it has printed.
#[derive(Debug)]
pub struct Stream(Child, NamedTempFile);

impl Stream {
    /// Starts it, with `interval` seconds from request to request.
    ///
    /// # Errors
    /// When there is no `ping`.
    pub fn start(from: &Netns, to: IpAddr, interval: &str) -> Result<Self> {
        let printed = NamedTempFile::new().context("failed to make a file for ping")?;
        let mut command = from.command("ping");
        // No answer is given up: under emulation it comes late.
        command.args(["-n", "-i", interval, "-W", "30", &to.to_string()]).stdout(printed.reopen()?);
        Ok(Self(command.spawn().context("failed to start ping")?, printed))
    }

    /// Ends it: which requests were answered, numbered from 1. The last ones may have been under way.
    ///
    /// # Errors
    /// When it has ended before.
    pub fn stop(&mut self) -> Result<Vec<u32>> {
        let pid = Pid::from_raw(i32::try_from(self.0.id())?);
        kill(pid, Signal::SIGINT).context("failed to end ping")?;
        self.0.wait()?;
        let text = std::fs::read_to_string(self.1.path())?;
        let number = |line: &str| line.split_once("icmp_seq=")?.1.split(' ').next()?.parse().ok();
        Ok(text.lines().filter_map(number).collect())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Gone already, unless the test failed.
        if matches!(self.0.try_wait(), Ok(None)) && self.0.kill().is_ok() {
            self.0.wait().ok();
        }
    }
}
