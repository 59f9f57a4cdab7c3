//! `esp-bench`: what each path of the datapath costs. `cargo xtask bench` builds and runs it.

use anyhow::Result;
use clap::Parser;
use esp_tests::bench::{self, cost::Sampling, scale, yardstick::Yardsticks};
use std::{io::Write as _, path::PathBuf};

/// Measures each XDP path in the running kernel (BPF_PROG_TEST_RUN). Needs root; attaches nothing.
#[derive(Parser)]
#[command(name = "esp-bench", version)]
struct Cli {
    /// Pairs of runs for each path
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Packets of each run
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// CPU to stay on; the last one by default
    #[arg(long)]
    cpu: Option<usize>,
    /// Measure the control plane instead: an agent with many SAs, in a namespace of its own
    #[arg(long)]
    control: bool,
    /// Numbers of SAs, powers of two
    #[arg(long, value_delimiter = ',', default_values_t = scale::SAS)]
    sas: Vec<u32>,
    /// SAs that the control plane is measured with
    #[arg(long, default_value_t = 10_000, requires = "control", value_parser = clap::value_parser!(u32).range(100..=100_000))]
    control_sas: u32,
    /// Where C yardsticks were built: `progrun` and `yard.bpf.o`
    #[arg(long)]
    yardsticks: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let mut out = std::io::stdout().lock();
    if cli.control {
        let report = bench::control::run(cli.control_sas)?;
        let printed = if cli.json { writeln!(out, "{:#}", report.json()) } else { write!(out, "{report}") };
        return Ok(printed?);
    }
    let sampling = Sampling { rounds: cli.rounds, repeat: cli.repeat };
    let report = bench::run(sampling, cli.cpu, cli.yardsticks.map(Yardsticks).as_ref(), &cli.sas)?;
    if cli.json {
        writeln!(out, "{:#}", report.json())?
    } else {
        write!(out, "{report}")?
    }
    Ok(())
}
