//! `esp-fuzz`: looks for frames that take new ways through the datapath. `cargo xtask fuzz` builds and runs it.

use anyhow::Result;
use clap::Parser;
use esp_tests::fuzz::{self, Found};
use std::{io::Write as _, time::Duration};

/// Fuzzes the pure datapath on this host, led by coverage, and writes the frames to tests/corpus.
#[derive(Parser)]
#[command(name = "esp-fuzz", version)]
struct Cli {
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Another run of luck
    #[arg(long, default_value_t = 1)]
    seed: u8,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let Found { tried, frames, places } = fuzz::run(Duration::from_secs(cli.seconds), [cli.seed; 32])?;
    writeln!(std::io::stdout(), "fuzz: {tried} frames tried, {frames} kept, {places} places reached")?;
    Ok(())
}
