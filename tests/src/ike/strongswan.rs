//! strongSwan: charon-systemd, told by swanctl.

use super::{Daemon, End, Running, unpacked};
use crate::{agent::PATIENCE, lab::STALE_ROUTE, run, wait::until_ok};
use anyhow::{Context, Result};
use std::{fs, process::Command};
use tempfile::TempDir;

/// Name of the connection and of its child.
const NAME: &str = "site";

/// A running charon.
#[derive(Debug)]
pub struct Strongswan {
    end: End,
    dir: TempDir,
    _running: Running,
}

impl Strongswan {
    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn swanctl(&self, args: &[&str]) -> Result<String> {
        run::text(&mut self.command(args)).with_context(|| format!("charon's log:\n{}", self.log()))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.end.netns.command("/usr/sbin/swanctl");
        command.env("STRONGSWAN_CONF", self.dir.path().join("strongswan.conf"));
        command.env("SWANCTL_DIR", self.dir.path()).args(args);
        command.arg("--uri").arg(socket(&self.dir));
        command
    }
}

impl Daemon for Strongswan {
    /// All at the sender: a packet that has chosen the old SA when that is deleted, one that finds a policy whose template
    /// names its SPI, and one whose route a changed policy takes.
    const LOST_AT_A_REKEY: &'static [&'static str] = &[STALE_ROUTE, "XfrmOutStateInvalid", "XfrmOutNoStates"];

    fn start(end: End) -> Result<Self> {
        unpacked::lay(&end.netns, "strongswan")?;
        let dir = tempfile::tempdir().context("failed to make a directory for strongSwan")?;
        let write = |name: &str, text: String| {
            fs::write(dir.path().join(name), text).with_context(|| format!("failed to write {name}"))
        };
        write("strongswan.conf", daemon_config(&dir))?;
        write("swanctl.conf", connection(&end))?;
        let mut command = end.netns.command("/usr/sbin/charon-systemd");
        command.env("STRONGSWAN_CONF", dir.path().join("strongswan.conf"));
        let running = Running::start(&mut command, &dir.path().join("output"))?;
        Ok(Self { end, dir, _running: running })
    }

    fn load(&self) -> Result<()> {
        until_ok(PATIENCE, "charon to listen", || {
            let mut load = self.command(&["--load-all", "--noprompt"]);
            run::text(load.arg("--file").arg(self.dir.path().join("swanctl.conf")))
        })
        .with_context(|| self.log())
        .map(drop)
    }

    fn initiate(&self) -> Result<()> {
        self.swanctl(&["--initiate", "--child", NAME]).map(drop)
    }

    fn version(&self) -> Result<String> {
        let text = self.swanctl(&["--version"])?;
        let number = text.split_whitespace().find(|word| word.starts_with(char::is_numeric));
        Ok(format!("strongSwan {}", number.unwrap_or("?")))
    }

    fn rekey(&self) -> Result<()> {
        self.swanctl(&["--rekey", "--child", NAME]).map(drop)
    }
}

fn socket(dir: &TempDir) -> String {
    format!("unix://{}/vici", dir.path().display())
}

fn daemon_config(dir: &TempDir) -> String {
    let path = dir.path().display();
    format!(
        "charon-systemd {{\n\
         load = random nonce aes sha1 sha2 hmac kdf gcm openssl kernel-netlink socket-default vici\n\
         install_routes = no\n\
         plugins {{ vici {{ socket = {} }} }}\n\
         journal {{ default = -1 }}\n\
         filelog {{ log {{\npath = {path}/log\ndefault = 1\nflush_line = yes\n}} }}\n\
         }}\n\
         swanctl {{\nload = random\n}}\n",
        socket(dir)
    )
}

fn connection(end: &End) -> String {
    let End { local, remote, local_net, remote_net, secret, .. } = end;
    format!(
        "connections {{ {NAME} {{\n\
         version = 2\nmobike = no\nlocal_addrs = {local}\nremote_addrs = {remote}\n\
         proposals = aes128-sha256-x25519\n\
         local {{\nauth = psk\nid = {local}\n}}\nremote {{\nauth = psk\nid = {remote}\n}}\n\
         children {{ {NAME} {{\n\
         local_ts = {local_net}\nremote_ts = {remote_net}\nesp_proposals = aes128gcm16\nmode = tunnel\n\
         }} }}\n}} }}\n\
         secrets {{ ike-{NAME} {{\nid-1 = {local}\nid-2 = {remote}\nsecret = 0x{secret}\n}} }}\n"
    )
}
