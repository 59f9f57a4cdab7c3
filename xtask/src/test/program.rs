//! The test programs of the tiers that a plain `cargo test` leaves out.

use std::ffi::OsString;
use std::process::Command;

use super::tally::Tally;
use super::tier::Tier;
use crate::cargo::{Executable, cargo, executables, tidy};
use crate::command::{self, quoted};

/// libtest's own words: the tests of a tier are the ignored ones of its files, and they share the machine.
const ARGS: [&str; 2] = ["--ignored", "--test-threads=1"];

/// The test programs of all tiers.
pub(super) struct Programs(Vec<Executable>);

impl Programs {
    /// Builds them; none is run.
    pub(super) fn build() -> anyhow::Result<Self> {
        executables(cargo("test").args(["--package=esp-tests", "--tests", "--no-run"])).map(Self)
    }

    /// The number of tests that a tier's programs hold.
    pub(super) fn count(&self, tier: Tier) -> anyhow::Result<usize> {
        let mut count = 0;
        for program in self.of(tier) {
            let list =
                command::query(Command::new(&program.path).args(["--list", "--ignored", "--format=terse"]))?;
            count += list.lines().filter(|line| line.ends_with(": test")).count();
        }
        Ok(count)
    }

    /// Runs a tier on this machine.
    pub(super) fn run_here(&self, tier: Tier) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for program in self.of(tier) {
            let mut command = tidy(Command::new(&program.path));
            command.args(ARGS).current_dir(&program.package).env("CARGO_MANIFEST_DIR", &program.package);
            let (status, output) = command::tee(&mut command)?;
            sum += Tally::of_run(&output, status.success());
        }
        Ok(sum)
    }

    /// One shell command that runs all of a tier, for a machine without cargo.
    pub(super) fn script(&self, tier: Tier) -> Vec<OsString> {
        let mut script = String::from("code=0\n");
        for program in self.of(tier) {
            let (path, package) = (quoted(program.path.as_os_str()), quoted(program.package.as_os_str()));
            script += &format!("echo; echo 'vm$ '{path}\ncd {package} || code=1\n");
            script += &format!("CARGO_MANIFEST_DIR={package} {path} {} || code=1\n", ARGS.join(" "));
        }
        script += "exit $code";
        ["bash", "-c", &script].map(Into::into).to_vec()
    }

    fn of(&self, tier: Tier) -> impl Iterator<Item = &Executable> {
        self.0.iter().filter(move |program| program.name.starts_with(tier.prefix()))
    }
}
