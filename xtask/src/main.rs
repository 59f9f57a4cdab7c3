//! `cargo xtask <verb>`: set-up, builds, checks, the test tiers, the VM, the demo, the bench harness.
//!
//! One file for each verb. Not for: what runs on a gateway (that is `esp-agent`).

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build_ebpf;
mod cargo;
mod command;
mod coverage;
mod demo;
mod esp_probe;
mod fuzz;
mod lint;
mod setup;
mod signals;
mod test;
mod vm;
mod workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what the other verbs need; a second run does nothing
    Setup(setup::Args),
    /// Build the eBPF object that esp-agent embeds: target/bpf/esp.o
    BuildEbpf(build_ebpf::Args),
    /// Check formatting, lints, documentation, licences and dependencies
    Lint,
    /// Run every test tier that this machine can open
    Test(test::Args),
    /// Run a command as root in a VM whose kernel has ESP
    Vm(vm::Args),
    /// Run the main job on the reference lab and print what was seen
    Demo,
    /// Measure each packet path of the datapath
    Bench(bench::Args),
    /// Look for frames that take new ways through the datapath, for tests/corpus
    Fuzz(fuzz::Args),
    /// Count the lines of the pure datapath that the tests of tier 0 run through
    Coverage,
}

fn main() -> ExitCode {
    let outcome = signals::watch().and_then(|()| match Cli::parse().verb {
        Verb::Setup(args) => setup::run(&args),
        Verb::BuildEbpf(args) => build_ebpf::run(&args),
        Verb::Lint => lint::run(),
        Verb::Test(args) => test::run(&args),
        Verb::Vm(args) => vm::run(&args),
        Verb::Demo => demo::run(),
        Verb::Bench(args) => bench::run(&args),
        Verb::Fuzz(args) => fuzz::run(&args),
        Verb::Coverage => coverage::run(),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        signals::caught().map_or(ExitCode::FAILURE, |signal| command::signal_code(signal as i32))
    })
}
