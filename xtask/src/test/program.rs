//! The ignored tests, by the tier that each names as its reason: `#[ignore = "T3: root, namespaces"]`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use super::tally::Tally;
use super::tier::Tier;
use crate::cargo::{Executable, cargo, executables, tidy};
use crate::command::{self, quoted};

const ARGS: [&str; 2] = ["--ignored", "--exact"];
/// The tests of a tier share the machine's namespaces and bpf file system.
const HERE: &str = "--test-threads=1";
/// Tests with real SAs live in namespaces with a bpf file system each. Most of their time is the emulated verifier's, on
/// one of the VM's two CPUs.
const IN_VM: &str = "--test-threads=2";

/// The test programs of the workspace that hold ignored tests.
pub(super) struct Programs(Vec<Program>);

struct Program {
    built: Executable,
    ignored: Vec<Ignored>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ignored {
    name: String,
    reason: String,
}

impl Programs {
    /// Builds all test programs and asks each for its ignored tests; none is run.
    pub(super) fn build() -> anyhow::Result<Self> {
        let built = executables(cargo("test").args(["--workspace", "--no-run"]))?;
        // Plain programs are built too, for the tests that start them.
        let tests = built.into_iter().filter(|built| built.is_test);
        tests.map(|built| Ok(Program { ignored: list(&built)?, built })).collect::<Result<_, _>>().map(Self)
    }

    /// The number of a tier's tests.
    pub(super) fn count(&self, tier: Tier) -> usize {
        self.of(tier).map(|(_, names)| names.len()).sum()
    }

    /// Runs a tier on this machine.
    pub(super) fn run_here(&self, tier: Tier) -> anyhow::Result<Tally> {
        let mut sum = Tally::default();
        for (program, names) in self.of(tier) {
            let mut command = tidy(Command::new(&program.path));
            command.args(ARGS).arg(HERE).args(names).current_dir(&program.package);
            let (status, output) = command::tee(command.env("CARGO_MANIFEST_DIR", &program.package))?;
            sum += Tally::of_run(&output, status.success());
        }
        Ok(sum)
    }

    /// One shell command that runs all of a tier, for a machine without cargo, on the newest kernel or the oldest.
    pub(super) fn script(&self, tier: Tier, newest: bool) -> Vec<OsString> {
        let mut script = String::from("code=0\n");
        let there = |test: &Ignored| test.is_for(newest);
        for (program, names) in self.those(move |test| test.reason.starts_with(tier.reason()) && there(test))
        {
            let package = quoted(program.package.as_os_str());
            let names: Vec<String> = names.iter().map(|name| quoted(name.as_ref())).collect();
            let words = [ARGS.join(" "), IN_VM.to_owned(), names.join(" ")].join(" ");
            let path = quoted(program.path.as_os_str());
            script += &format!("echo; echo 'vm$ '{path}\ncd {package} || code=1\n");
            script += &format!("CARGO_MANIFEST_DIR={package} {path} {words} || code=1\n");
        }
        script += "exit $code";
        ["bash", "-c", &script].map(Into::into).to_vec()
    }

    fn of(&self, tier: Tier) -> impl Iterator<Item = (&Executable, Vec<&str>)> {
        self.those(move |test| test.reason.starts_with(tier.reason()))
    }

    fn those(&self, wanted: impl Fn(&Ignored) -> bool) -> impl Iterator<Item = (&Executable, Vec<&str>)> {
        self.0.iter().filter_map(move |program| {
            let those = program.ignored.iter().filter(|test| wanted(test));
            let names: Vec<_> = those.map(|test| test.name.as_str()).collect();
            (!names.is_empty()).then_some((&program.built, names))
        })
    }
}

impl Ignored {
    /// False for one that says `on the newest kernel` or `on the oldest kernel` and this is the other: what it shows does
    /// not depend on the kernel, or on that of the other least, and time is dear.
    fn is_for(&self, newest: bool) -> bool {
        let other = if newest { "on the oldest kernel" } else { "on the newest kernel" };
        !self.reason.contains(other)
    }
}

fn list(program: &Executable) -> anyhow::Result<Vec<Ignored>> {
    let mut command = tidy(Command::new(&program.path));
    // The list has the reasons only as JSON, which libtest of a stable release holds back without the variable.
    command.args(["--list", "--ignored", "-Zunstable-options", "--format=json"]).env("RUSTC_BOOTSTRAP", "1");
    parse(&command::query(command.current_dir(&program.package))?)
}

fn parse(list: &str) -> anyhow::Result<Vec<Ignored>> {
    let mut ignored = Vec::new();
    for line in list.lines() {
        let event: Value = serde_json::from_str(line).context("failed to read a list of tests")?;
        let text = |field| event.get(field).and_then(Value::as_str).unwrap_or_default().to_string();
        if text("type") == "test" && text("event") == "discovered" {
            ignored.push(Ignored { name: text("name"), reason: text("ignore_message") });
        }
    }
    Ok(ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_names_and_reasons() {
        let list = concat!(
            r#"{ "type": "suite", "event": "discovery" }"#,
            "\n",
            r#"{ "type": "test", "event": "discovered", "name": "m::t", "ignore": true, "ignore_message": "T2: root" }"#,
            "\n",
            r#"{ "type": "suite", "event": "completed", "tests": 1 }"#,
        );
        assert_eq!(parse(list).unwrap(), [Ignored { name: "m::t".into(), reason: "T2: root".into() }]);
    }

    #[test]
    fn a_test_may_be_for_one_kernel() {
        let runs = |reason: &str| {
            let test = Ignored { name: "t".into(), reason: reason.into() };
            [false, true].map(|newest| test.is_for(newest))
        };
        assert_eq!(runs("T4: root, ESP"), [true, true]);
        assert_eq!(runs("T4: root, ESP, on the newest kernel"), [false, true]);
        assert_eq!(runs("T4: root, ESP, on the oldest kernel"), [true, false]);
    }
}
