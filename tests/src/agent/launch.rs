//! How an agent is started.

use super::Agent;
use crate::{netns::Netns, run};
use anyhow::{Context, Result, ensure};
use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The agent's usual port: each namespace has a loopback of its own.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9754);

/// Where an agent of a test keeps what must outlive a reboot.
pub const DURABLE: &str = "/run/esp-agent-durable";

/// The agent's executable.
#[derive(Clone, Debug)]
pub struct Binary(PathBuf);

impl Binary {
    /// `ESP_AGENT`, else the one that cargo built beside this executable.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self> {
        if let Some(path) = std::env::var_os("ESP_AGENT") {
            return Self::at(Path::new(&path));
        }
        let own = std::env::current_exe().context("failed to find this executable")?;
        // Tests are in target/PROFILE/deps, binaries in target/PROFILE.
        let beside = own.ancestors().skip(1).take(2).map(|dir| dir.join("esp-agent"));
        let found = beside.into_iter().find(|path| path.is_file());
        found.map(Self).with_context(|| {
            format!("no esp-agent beside {}: cargo build -p esp-agent, or set ESP_AGENT", own.display())
        })
    }

    /// The one at this path.
    ///
    /// # Errors
    /// When there is no file.
    pub fn at(path: &Path) -> Result<Self> {
        ensure!(path.is_file(), "no agent at {}", path.display());
        Ok(Self(path.canonicalize()?))
    }

    /// The agent in a namespace, its arguments still to come. Nothing of the caller's environment that the agent
    /// reads goes with it, and what must outlive a reboot is kept in the namespace's own /run.
    #[must_use]
    pub fn command(&self, netns: &Netns) -> Command {
        let mut command = netns.command(&self.0);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ESP_AGENT") {
                command.env_remove(name);
            }
        }
        command.env("ESP_AGENT_DURABLE_DIR", DURABLE);
        command
    }

    /// `run` in a namespace, with more to be said.
    #[must_use]
    pub fn launch(&self, netns: &Netns) -> Launch {
        let mut command = self.command(netns);
        command.arg("run");
        Launch { binary: self.clone(), netns: netns.clone(), command, metrics: METRICS }
    }

    /// `status --json` in a namespace.
    ///
    /// # Errors
    /// When the command fails or prints no JSON.
    pub fn status_json(&self, netns: &Netns) -> Result<serde_json::Value> {
        let text = run::text(self.command(netns).args(["status", "--json"]))?;
        serde_json::from_str(&text).with_context(|| format!("status --json printed no JSON: {text}"))
    }
}

/// An agent about to run. It uses its usual places: /sys/fs/bpf and /run are the namespace's own.
#[derive(Debug)]
pub struct Launch {
    binary: Binary,
    netns: Netns,
    command: Command,
    metrics: SocketAddr,
}

impl Launch {
    /// Adds `--iface`.
    #[must_use]
    pub fn iface(self, name: &str) -> Self {
        self.arg("--iface").arg(name)
    }

    /// Adds `-c`.
    #[must_use]
    pub fn config(mut self, file: &Path) -> Self {
        self.command.arg("-c").arg(file);
        self
    }

    /// Adds any argument.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Serves metrics elsewhere than on 127.0.0.1:9754.
    #[must_use]
    pub const fn metrics(mut self, addr: SocketAddr) -> Self {
        self.metrics = addr;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before, or takes too long: with its log.
    pub fn start(self) -> Result<Agent> {
        let mut agent = self.spawn()?;
        agent.wait_ready()?;
        Ok(agent)
    }

    /// Starts it and does not wait. It is killed when the calling thread ends without it.
    ///
    /// # Errors
    /// When there is no such executable.
    pub fn spawn(mut self) -> Result<Agent> {
        let logs = tempfile::tempdir().context("failed to make a directory for the log")?;
        let file = |name: &str| File::create(logs.path().join(name)).context("failed to make a log file");
        self.command.args(["--metrics", &self.metrics.to_string()]).stdin(Stdio::null());
        self.command.stdout(file("stdout")?).stderr(file("stderr")?);
        let child = run::tied(&mut self.command)
            .spawn()
            .with_context(|| format!("failed to start {}", run::line(&self.command)))?;
        let Self { binary, netns, metrics, .. } = self;
        Ok(Agent { child, binary, netns, metrics, logs, ended: None })
    }
}
