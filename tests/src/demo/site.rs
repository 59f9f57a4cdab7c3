//! A gateway with its agent.

use super::Setup;
use crate::{
    agent::{Agent, Binary},
    lab::SPI,
    netns::Netns,
};
use anyhow::{Context, Result};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The two directions of a flow, as the metrics name them.
pub(super) const DIRECTIONS: [&str; 2] = ["in", "out"];

/// A gateway of the lab.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) netns: Netns,
    /// Its outside interface.
    pub(super) iface: &'static str,
    /// What its configuration calls the tunnel.
    pub(super) tunnel: &'static str,
    pub(super) binary: Binary,
    config: PathBuf,
    examples: PathBuf,
    agent: Option<Agent>,
}

impl Site {
    pub(super) fn new(
        setup: &Setup,
        tunnel: &'static str,
        netns: &Netns,
        iface: &'static str,
        config: &str,
    ) -> Self {
        let Setup { binary, examples } = setup.clone();
        let config = examples.join(config);
        Self { netns: netns.clone(), iface, tunnel, binary, config, examples, agent: None }
    }

    pub(super) fn config(&self) -> &Path {
        &self.config
    }

    /// Uses another of the example configurations from now on.
    pub(super) fn reconfigure(&mut self, config: &str) {
        self.config = self.examples.join(config);
    }

    pub(super) fn start(&mut self) -> Result<()> {
        let launch = self.binary.launch(&self.netns).iface(self.iface).config(&self.config);
        let agent = launch.start().with_context(|| format!("the agent on {}", self.netns.name()))?;
        self.agent = Some(agent);
        Ok(())
    }

    /// SIGTERM: the exit code.
    pub(super) fn stop(&mut self) -> Result<i32> {
        let mut agent = self.agent.take().with_context(|| self.absent())?;
        agent.stop()
    }

    pub(super) fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().with_context(|| self.absent())
    }

    /// Packets and bytes of the lab's SPI by direction, from one scrape.
    pub(super) fn flows(&self) -> Result<BTreeMap<&'static str, (u64, u64)>> {
        let scrape = self.agent()?.scrape()?;
        let spi = format!("{SPI:#010x}");
        let sum = |name: &str, direction| {
            let labels = [("iface", self.iface), ("direction", direction), ("spi", &spi), ("known", "true")];
            scrape.sum(name, &labels).unwrap_or(0)
        };
        let both = |way| (sum("esp_spi_packets_total", way), sum("esp_spi_bytes_total", way));
        Ok(DIRECTIONS.into_iter().map(|way| (way, both(way))).collect())
    }

    /// Packets of the lab's SPI in both directions, from `status --json`, with or without an agent.
    pub(super) fn status_packets(&self) -> Result<u64> {
        let status = self.binary.status_json(&self.netns)?;
        let flows = status["flows"].as_array().context("status --json has no flows")?;
        let spi = format!("{SPI:#010x}");
        let of_lab = flows.iter().filter(|flow| flow["spi"] == spi.as_str());
        Ok(of_lab.filter_map(|flow| flow["packets"].as_u64()).sum())
    }

    fn absent(&self) -> String {
        format!("no agent runs on {}", self.netns.name())
    }
}
