//! `esp-bench`: what each path of the datapath costs. `cargo xtask bench` builds and runs it.

use anyhow::Result;
use clap::Parser;
use esp_tests::bench::{self, cost::Sampling};
use std::io::Write as _;

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
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let report = bench::run(Sampling { rounds: cli.rounds, repeat: cli.repeat }, cli.cpu)?;
    let mut out = std::io::stdout().lock();
    if cli.json {
        writeln!(out, "{:#}", report.json())?
    } else {
        write!(out, "{report}")?
    }
    Ok(())
}
