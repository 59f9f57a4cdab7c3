//! The commands, one file each.

pub mod check;
pub mod check_dump;
pub mod detach;
pub mod drops;
pub mod keygen;
pub mod monitor;
pub mod pair;
pub mod plan;
pub mod rotate;
pub mod run;
pub mod status;

use crate::cli::{Cli, Command, Global};
use crate::datapath::pins::Pins;
use crate::failure::Failure;
use crate::instance::{Instance, InstanceError, Netns};
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the command.
///
/// # Errors
/// Why it could not do what it was asked.
pub fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let out = &mut io::stdout().lock();
    match cli.command {
        Command::Run(args) => run::run(&cli.global, args),
        Command::Check(args) => {
            let instance = instance(&cli.global)?;
            match args.config.filter(|_| args.dump.is_empty()) {
                Some(config) => check::check(&config, &instance, args.json, out),
                None => check_dump::check(&args.dump, args.json, out),
            }
            .map_err(Failure::Output)
        }
        Command::Plan(args) => plan::plan(&cli.global, &args, out),
        Command::Status(args) => status::status(&cli.global, args.json, out),
        Command::Monitor(args) => monitor::monitor(&cli.global, &args, out),
        Command::Drops(args) => drops::drops(&cli.global, &args, out),
        Command::Detach => detach::detach(&cli.global, out),
        Command::Keygen(args) => keygen::keygen(&args, out),
        Command::Pair(args) => pair::pair(&args, out),
        Command::Rotate(args) => rotate::rotate(&cli.global, &args, out),
    }
}

/// A line for people, or one object of JSON.
fn write_line<L: Serialize + Display>(line: &L, json: bool, out: &mut dyn Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, line)?;
        return writeln!(out);
    }
    writeln!(out, "{line}")
}

/// Where this agent lives.
fn instance(global: &Global) -> Result<Instance, Failure> {
    let netns = Netns::current().map_err(InstanceError::Netns)?;
    let name = global.instance.clone().unwrap_or_else(|| netns.label());
    Ok(Instance::at(name, netns, &global.state_dir, &global.bpffs)?.durable_at(&global.durable_dir))
}

fn pins(instance: &Instance) -> Pins {
    Pins::new(&instance.pin_dir)
}
