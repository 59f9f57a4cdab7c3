//! The reference lab from the command line. Needs root.

use anyhow::Result;
use clap::Parser;
use esp_tests::{
    agent::Binary,
    demo::{self, Setup},
};
use std::{io, path::PathBuf, process::ExitCode};

/// Runs the reference lab in network namespaces and prints what was seen at each step.
#[derive(Parser, Debug)]
enum Args {
    /// The lab's steps with the agent on both gateways.
    Demo {
        /// The agent's executable. Default: the one built beside this program.
        #[arg(long, env = "ESP_AGENT")]
        agent: Option<PathBuf>,
        /// Directory of lab-server-a.toml and its like. Default: those of the source tree.
        #[arg(long)]
        examples: Option<PathBuf>,
    },
    /// The lab by hand, without the agent: can this machine and kernel run it?
    LabCheck,
}

fn main() -> Result<ExitCode> {
    let ok = match Args::parse() {
        Args::Demo { agent, examples } => {
            let mut setup = Setup::new(agent.map_or_else(Binary::find, |path| Binary::at(&path))?);
            setup.examples = examples.unwrap_or(setup.examples);
            demo::demo(&setup, io::stdout())?
        }
        Args::LabCheck => demo::check(io::stdout())?,
    };
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
