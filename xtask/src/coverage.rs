//! `cargo xtask coverage`: which lines of the pure datapath the tests of tier 0 run through.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::cargo::{Executable, cargo, executables, tidy};
use crate::setup::toolchain;
use crate::{command, workspace};

/// Of the lines of the pure datapath, in percent.
const LEAST: f64 = 95.0;
/// What is counted; the programs around it run in the kernel, which counts no lines.
const SOURCES: &str = "esp-ebpf/src/";

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let directory = workspace::root().join("target/coverage");
    let profiles = directory.join("profiles");
    if profiles.exists() {
        std::fs::remove_dir_all(&profiles).context("failed to remove the profiles of the last run")?;
    }
    let mut tests = built(&directory, &["-p", "esp-common", "-p", "esp-ebpf"])?;
    tests.extend(built(&directory, &["-p", "esp-tests", "--test", "t0_*"])?);
    for test in &tests {
        let mut command = tidy(Command::new(&test.path));
        command::run(
            command.current_dir(&test.package).env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw")),
        )?;
    }
    let files = report(&directory, &profiles, &tests)?;
    let (mut lines, mut covered) = (0, 0);
    for File { name, count, run } in &files {
        eprintln!("{:6.1} %  {run:4} of {count:4}  {name}", percent(*run, *count));
        (lines, covered) = (lines + count, covered + run);
    }
    let all = percent(covered, lines);
    eprintln!("coverage: {all:.1} % of {lines} lines in {SOURCES}, at least {LEAST} % are asked for");
    Ok(if all < LEAST { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Builds tests that count lines, in a target directory of their own.
fn built(directory: &Path, of: &[&str]) -> anyhow::Result<Vec<Executable>> {
    let mut build = cargo("test");
    build.arg("--no-run").args(of);
    build.env("RUSTFLAGS", "-Cinstrument-coverage").env("CARGO_TARGET_DIR", directory);
    // Build scripts and macros count too, into nowhere.
    build.env("LLVM_PROFILE_FILE", "/dev/null");
    Ok(executables(&mut build)?.into_iter().filter(|built| built.is_test).collect())
}

/// A source file: its lines, and those that ran.
struct File {
    name: String,
    count: u64,
    run: u64,
}

fn report(directory: &Path, profiles: &Path, tests: &[Executable]) -> anyhow::Result<Vec<File>> {
    let merged = directory.join("all.profdata");
    let mut merge = Command::new(tool("llvm-profdata")?);
    command::run(merge.args(["merge", "--sparse", "-o"]).arg(&merged).arg(profiles))?;
    let mut export = Command::new(tool("llvm-cov")?);
    export.args(["export", "--summary-only", "--instr-profile"]).arg(&merged);
    tests.iter().for_each(|test| _ = export.arg("--object").arg(&test.path));
    let text = command::query(&mut export)?;
    let report: Value = serde_json::from_str(&text).context("failed to read llvm-cov's report")?;
    let files =
        report.pointer("/data/0/files").and_then(Value::as_array).context("a report without files")?;
    let of: Vec<_> = files.iter().filter_map(|file| of_ours(file, workspace::root())).collect();
    ensure!(!of.is_empty(), "llvm-cov reports no line of {SOURCES}");
    Ok(of)
}

fn of_ours(file: &Value, root: &Path) -> Option<File> {
    let name = Path::new(file.get("filename")?.as_str()?).strip_prefix(root).ok()?.to_str()?;
    let lines = |what: &str| file.pointer(&format!("/summary/lines/{what}")).and_then(Value::as_u64);
    name.starts_with(SOURCES).then_some(File {
        name: name.to_owned(),
        count: lines("count")?,
        run: lines("covered")?,
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// A tool of the release of LLVM that rustc writes profiles for: others do not read them.
fn tool(name: &str) -> anyhow::Result<PathBuf> {
    let release = toolchain::llvm(&toolchain::rustc_version()?).context("rustc does not tell its LLVM")?;
    let path = PathBuf::from(format!("/usr/lib/llvm-{release}/bin/{name}"));
    if path.exists() {
        return Ok(path);
    }
    bail!("no {name} of LLVM {release}: install the package llvm-{release}")
}
