//! A private apt configuration for one Debian suite: that of the machine is read, never changed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::apt;
use crate::command;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const CONFIGURATION: &str = "apt.conf";

/// apt with the lists of one suite only, in a directory that goes with it: the lists are large.
pub(super) struct Mirror {
    dir: TempDir,
}

impl Mirror {
    /// Writes the configuration and reads the suite's lists.
    ///
    /// # Errors
    /// The machine's own sources name no Debian archive, or it has no such suite.
    pub(super) fn open(suite: &str) -> anyhow::Result<Self> {
        let temporary = tempfile::tempdir().context("failed to make a temporary directory")?;
        let dir = temporary.path();
        for part in ["lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).with_context(|| format!("failed to make {}", path.display()))?;
        }
        let sources: Vec<_> = archives()?
            .iter()
            .filter_map(|archive| archive.suite(suite).map(|suite| stanza(&archive.uri, &suite)))
            .collect();
        write(&dir.join("suite.sources"), &sources.join("\n"))?;
        write(&dir.join(CONFIGURATION), &configuration(dir))?;
        let mirror = Self { dir: temporary };
        let update = || command::run(mirror.apt("apt-get").args(["--quiet", "update"]));
        update().or_else(|_| update())?;
        Ok(mirror)
    }

    /// A program of apt that knows this suite only.
    pub(super) fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.dir.path().join(CONFIGURATION));
        command
    }
}

struct Archive {
    uri: String,
    security: bool,
}

impl Archive {
    /// Backports get their security fixes in the suite itself.
    fn suite(&self, suite: &str) -> Option<String> {
        match self.security {
            true => (!suite.ends_with("-backports")).then(|| format!("{suite}-security")),
            false => Some(suite.into()),
        }
    }
}

/// The Debian archives that this machine's own sources name.
fn archives() -> anyhow::Result<Vec<Archive>> {
    apt::update_if_stale()?;
    let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let targets = command::query(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let find = |label: &str| targets.lines().find_map(|line| line.strip_prefix(&format!("Debian|{label}|")));
    let Some(main) = find("Debian") else {
        bail!("the apt sources of this machine name no Debian archive, from which the VM kernels come");
    };
    let main = Archive { uri: main.into(), security: false };
    let security = find("Debian-Security").map(|uri| Archive { uri: uri.into(), security: true });
    Ok(std::iter::once(main).chain(security).collect())
}

fn stanza(uri: &str, suite: &str) -> String {
    format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n")
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Dir::Etc \"{dir}/etc\";\nDir::Etc::sourcelist \"{dir}/suite.sources\";\nDir::Etc::sourceparts \"-\";\n\
         Dir::State::lists \"{dir}/lists\";\nDir::Cache \"{dir}/cache\";\nAPT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n"
    )
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
