//! The reference lab from the command line. Needs root.

use anyhow::Result;
use clap::Parser;
use esp_tests::demo;
use std::{io, process::ExitCode};

/// Runs the reference lab in network namespaces and prints what was seen at each step.
#[derive(Parser, Debug)]
enum Args {
    /// The lab by hand, without the agent: can this machine and kernel run it?
    LabCheck,
}

fn main() -> Result<ExitCode> {
    let ok = match Args::parse() {
        Args::LabCheck => demo::check(io::stdout())?,
    };
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
