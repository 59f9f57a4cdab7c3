//! libreswan: pluto, told by whack.

use super::{Daemon, End, unpacked};
use crate::{agent::PATIENCE, lab::Lab, run, wait::until_ok};
use anyhow::{Context, Result};
use nix::sys::{prctl, signal::Signal};
use std::{
    fs::{self, File, Permissions},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    process::{Child, Command, Stdio},
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
    daemon: Child,
}

impl Libreswan {
    /// Starts one on either gateway and has the first set up the tunnel.
    ///
    /// # Errors
    /// It was not unpacked, or what it says.
    pub fn pair(lab: &Lab) -> Result<[Self; 2]> {
        let [a, b] = End::both(lab)?;
        let pair = [Self::start(a)?, Self::start(b)?];
        for one in &pair {
            one.load()?;
        }
        pair[0].whack(&["--name", NAME, "--initiate"])?;
        Ok(pair)
    }

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
        let log = File::create(path("log")).context("failed to make a log file")?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // SAFETY: one system call. Without it the daemon would outlive a test that is killed, and its namespace too.
        unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) };
        let daemon = command.spawn().context("failed to start pluto")?;
        Ok(Self { end, dir, daemon })
    }

    /// Reads the secret and the connection, and begins to listen.
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
    fn version(&self) -> Result<String> {
        let mut command: Command = self.end.netns.command(format!("{LIBEXEC}/pluto"));
        let text = run::text(command.arg("--version"))?;
        Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    fn rekey(&self) -> Result<()> {
        self.whack(&["--name", NAME, "--rekey-ipsec"]).map(drop)
    }
}

impl Drop for Libreswan {
    fn drop(&mut self) {
        // Its namespace goes with it, and the SAs with that.
        if let Err(error) = self.daemon.kill().and_then(|()| self.daemon.wait()) {
            eprintln!("failed to end pluto: {error}");
        }
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
