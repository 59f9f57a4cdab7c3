//! A gateway of the lab, driven by the agent from a configuration that a test writes.

use super::{Lab, Side};
use crate::{
    agent::{Agent, Binary, Launch, PATIENCE},
    netns::Netns,
    run,
    wait::until_ok,
};
use anyhow::{Context, Result, ensure};
use esp_agent::{
    datapath::{maps::Maps, pins::Pins},
    instance::Instance,
};
use esp_common::{Action, Hook, Reason, counter::reason_index};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use tempfile::NamedTempFile;

/// The gateway.
#[derive(Debug)]
pub struct Gateway {
    /// Where it is.
    pub netns: Netns,
    /// Its outside interface.
    pub iface: &'static str,
    /// The agent's executable.
    pub binary: Binary,
    config: NamedTempFile,
    agent: Option<Agent>,
}

impl Gateway {
    /// A gateway with a configuration, its agent not started.
    ///
    /// # Errors
    /// When no agent was built or the file cannot be written.
    pub fn new(lab: &Lab, side: Side, config: &str) -> Result<Self> {
        let (netns, iface) = match side {
            Side::A => (&lab.server_a, "eth5"),
            Side::B => (&lab.server_b, "eth6"),
        };
        let file = NamedTempFile::new().context("failed to make a configuration")?;
        let gateway =
            Self { netns: netns.clone(), iface, binary: Binary::find()?, config: file, agent: None };
        gateway.write(config)?;
        Ok(gateway)
    }

    /// Replaces the configuration's text. The agent is not told.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, config: &str) -> Result<()> {
        std::fs::write(self.config.path(), config).context("failed to write a configuration")
    }

    /// `run` with the outside interface and the configuration.
    #[must_use]
    pub fn launch(&self) -> Launch {
        self.binary.launch(&self.netns).iface(self.iface).config(self.config.path())
    }

    /// Starts the agent and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get there: with its log.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(&[])
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// When it does not get there: with its log.
    pub fn start_with(&mut self, args: &[&str]) -> Result<()> {
        let launch = args.iter().fold(self.launch(), |launch, arg| launch.arg(arg));
        self.agent = Some(launch.start()?);
        Ok(())
    }

    /// Starts the agent with its log at trace level.
    ///
    /// # Errors
    /// When it does not get there: with its log.
    pub fn start_loudest(&mut self) -> Result<()> {
        self.agent = Some(self.launch().env("ESP_AGENT_LOG", "trace").start()?);
        Ok(())
    }

    /// Where the configuration is.
    #[must_use]
    pub fn config_path(&self) -> &Path {
        self.config.path()
    }

    /// Starts the agents of several gateways at the same time: most of a start is the kernel's verifier.
    ///
    /// # Errors
    /// When one does not get there: with its log.
    pub fn start_all<const N: usize>(mut gateways: [&mut Self; N]) -> Result<()> {
        for gateway in &mut gateways {
            gateway.agent = Some(gateway.launch().spawn()?);
        }
        for gateway in gateways {
            gateway.agent.as_mut().context("no agent")?.wait_ready()?;
        }
        Ok(())
    }

    /// Has the agent read a new configuration, and waits until it has taken it over.
    ///
    /// # Errors
    /// When it refuses it: with its log.
    pub fn reload(&self, config: &str) -> Result<()> {
        self.hang_up(config, [1, 0])
    }

    /// Has the agent read a new configuration, and waits until it has refused it.
    ///
    /// # Errors
    /// When it takes it over: with its log.
    pub fn reload_refused(&self, config: &str) -> Result<()> {
        self.hang_up(config, [0, 1])
    }

    fn hang_up(&self, config: &str, [taken, refused]: [u64; 2]) -> Result<()> {
        let agent = self.agent()?;
        let reloads = || -> Result<[u64; 2]> {
            let scrape = agent.scrape()?;
            let of = |result| scrape.sum("esp_agent_reloads_total", &[("result", result)]).unwrap_or(0);
            Ok(["ok", "failed"].map(of))
        };
        let [ok, failed] = reloads()?;
        self.write(config)?;
        agent.signal(Signal::SIGHUP)?;
        let done = || {
            let now = reloads()?;
            ensure!(now != [ok, failed], "not yet");
            Ok(now)
        };
        let now = until_ok(PATIENCE, "the configuration to be read again", done)?;
        ensure!(now == [ok + taken, failed + refused], "the reload ended otherwise:\n{}", agent.log());
        Ok(())
    }

    /// The running agent.
    ///
    /// # Errors
    /// When it was not started.
    pub fn agent(&self) -> Result<&Agent> {
        self.agent.as_ref().with_context(|| format!("no agent runs on {}", self.netns.name()))
    }

    /// The running agent, to be ended.
    ///
    /// # Errors
    /// When it was not started.
    pub fn take_agent(&mut self) -> Result<Agent> {
        self.agent.take().with_context(|| format!("no agent runs on {}", self.netns.name()))
    }

    /// What `plan` would still change.
    ///
    /// # Errors
    /// When the command fails.
    pub fn plan(&self) -> Result<Value> {
        let mut command = self.binary.command(&self.netns);
        let text = run::text(command.args(["plan", "--json", "-c"]).arg(self.config.path()))?;
        serde_json::from_str(&text).with_context(|| format!("plan --json printed no JSON: {text}"))
    }

    /// Packets of known SPIs on the outside interface, each in its direction (`in`, `out`).
    ///
    /// # Errors
    /// When the scrape fails.
    pub fn packets<const N: usize>(&self, flows: [(&str, u32); N]) -> Result<[u64; N]> {
        let scrape = self.agent()?.scrape()?;
        Ok(flows.map(|(direction, spi)| {
            let spi = format!("{spi:#010x}");
            let labels = [("iface", self.iface), ("direction", direction), ("spi", &spi), ("known", "true")];
            scrape.sum("esp_spi_packets_total", &labels).unwrap_or(0)
        }))
    }

    /// Packets of a reason at a hook that were passed and that were dropped.
    ///
    /// # Errors
    /// When the scrape fails.
    pub fn reason(&self, hook: &str, reason: &str) -> Result<[u64; 2]> {
        let scrape = self.agent()?.scrape()?;
        Ok(["pass", "drop"].map(|action| {
            let labels = [("iface", self.iface), ("hook", hook), ("reason", reason), ("action", action)];
            scrape.sum("esp_packets_total", &labels).unwrap_or(0)
        }))
    }

    /// The pinned maps of the agent.
    ///
    /// # Errors
    /// It was never set up.
    pub fn maps(&self) -> Result<Maps> {
        self.netns.run_in(|| Ok(Maps::open(&Pins::new(Instance::detect(None)?.pin_dir))?))
    }
}

/// Packets of a reason on the outside interface, without the way through the agent: quick enough to wait for.
#[must_use]
pub fn counted(maps: &Maps, hook: Hook, reason: Reason, action: Action) -> u64 {
    maps.reasons.sum(reason_index(0, hook, reason, action)).packets
}
