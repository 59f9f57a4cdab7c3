//! libreswan: pluto, told by whack.

use super::{Daemon, End, Running, unpacked};
use crate::{agent::PATIENCE, lab::STALE_ROUTE, run, wait::until_ok};
use anyhow::{Context, Result};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};
use tempfile::TempDir;

/// Name of the connection.
const NAME: &str = "site";
const LIBEXEC: &str = "/usr/libexec/ipsec";

/// A running pluto.
#[derive(Debug)]
pub struct Libreswan {
    end: End,
    dir: TempDir,
    _running: Running,
}

impl Libreswan {
    fn whack(&self, args: &[&str]) -> Result<String> {
        let mut command = self.end.netns.command(format!("{LIBEXEC}/whack"));
        command.arg("--ctlsocket").arg(self.socket()).args(args);
        run::text(&mut command).with_context(|| format!("pluto's log:\n{}", self.log()))
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("pluto.ctl")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Daemon for Libreswan {
    /// What strongSwan loses; and at the receiver, because the responder sends at once, a packet that comes by the new SA
    /// before that has its keys, or by the old one while it goes.
    const LOST_AT_A_REKEY: &'static [&'static str] =
        &[STALE_ROUTE, "XfrmOutStateInvalid", "XfrmOutNoStates", "XfrmAcquireError", "XfrmInStateInvalid"];

    fn start(end: End) -> Result<Self> {
        unpacked::lay(&end.netns, "libreswan")?;
        let dir = tempfile::tempdir().context("failed to make a directory for libreswan")?;
        let path = |name: &str| dir.path().join(name);
        fs::write(path("ipsec.conf"), connection(&end)).context("failed to write ipsec.conf")?;
        let End { local, remote, secret, .. } = &end;
        fs::write(path("ipsec.secrets"), format!("{local} {remote} : PSK 0x{secret}\n"))
            .context("failed to write ipsec.secrets")?;
        fs::set_permissions(path("ipsec.secrets"), Permissions::from_mode(0o600))?;
        let database = format!("sql:{}", dir.path().display());
        run::text(end.netns.command("certutil").args(["-N", "--empty-password", "-d", &database]))?;
        let mut command = end.netns.command(format!("{LIBEXEC}/pluto"));
        command.args(["--nofork", "--stderrlog", "--no-dnssec", "--leak-detective"]);
        for (option, name) in [
            ("--config", "ipsec.conf"),
            ("--secretsfile", "ipsec.secrets"),
            ("--rundir", ""),
            ("--nssdir", ""),
            ("--ipsecdir", ""),
            ("--dumpdir", ""),
        ] {
            command.arg(option).arg(path(name));
        }
        let running = Running::start(&mut command, &path("log"))?;
        Ok(Self { end, dir, _running: running })
    }

    fn load(&self) -> Result<()> {
        until_ok(PATIENCE, "pluto to listen", || {
            self.whack(&["--listen"])?;
            let mut add = self.end.netns.command(format!("{LIBEXEC}/addconn"));
            add.arg("--config").arg(self.dir.path().join("ipsec.conf"));
            run::text(add.arg("--ctlsocket").arg(self.socket()).arg(NAME))
        })
        .with_context(|| self.log())
        .map(drop)
    }

    fn initiate(&self) -> Result<()> {
        self.whack(&["--name", NAME, "--initiate"]).map(drop)
    }

    fn version(&self) -> Result<String> {
        let mut command = self.end.netns.command(format!("{LIBEXEC}/pluto"));
        let text = run::text(command.arg("--version"))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn rekey(&self) -> Result<()> {
        self.whack(&["--name", NAME, "--rekey-ipsec"]).map(drop)
    }
}

fn connection(end: &End) -> String {
    let End { local, remote, local_net, remote_net, .. } = end;
    format!(
        "config setup\n\
         conn {NAME}\n\
         \x20 ikev2=insist\n  authby=secret\n  auto=add\n  pfs=no\n  mobike=no\n\
         \x20 ike=aes128-sha2_256-dh19\n  esp=aes_gcm128\n\
         \x20 left={local}\n  leftid={local}\n  leftsubnet={local_net}\n  leftupdown=%disabled\n\
         \x20 right={remote}\n  rightid={remote}\n  rightsubnet={remote_net}\n"
    )
}
