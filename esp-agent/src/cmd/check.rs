//! `check`: tells what is wrong with a configuration. Needs no root and changes nothing.

use crate::config::{self, Config, ConfigError, ConfigErrors, Lint};
use crate::failure::USAGE;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// What `check --json` prints. Fields are only ever added.
#[derive(Serialize)]
struct Outcome<'a> {
    file: String,
    ok: bool,
    errors: &'a [ConfigError],
    lints: &'a [Lint],
    summary: Option<Summary>,
}

#[derive(Serialize)]
struct Summary {
    tunnels: usize,
    sas: usize,
    policies: usize,
}

/// Checks the file at `path` and writes the outcome to `out`: every error, or `ok`, a summary and the lints.
/// Exit code 0, or 64 when there are errors.
///
/// # Errors
/// When `out` cannot be written.
pub fn check(path: &Path, json: bool, out: &mut dyn Write) -> io::Result<ExitCode> {
    let loaded = config::load(path);
    match json {
        true => write_json(path, &loaded, out)?,
        false => write_text(path, &loaded, out)?,
    }
    Ok(if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
}

fn write_json(path: &Path, loaded: &Result<Config, ConfigErrors>, out: &mut dyn Write) -> io::Result<()> {
    let (errors, lints): (&[ConfigError], &[Lint]) = match loaded {
        Ok(config) => (&[], &config.lints),
        Err(errors) => (&errors.0, &[]),
    };
    let summary = loaded.as_ref().ok().map(Summary::of);
    let outcome = Outcome { file: path.display().to_string(), ok: loaded.is_ok(), errors, lints, summary };
    serde_json::to_writer_pretty(&mut *out, &outcome)?;
    writeln!(out)
}

fn write_text(path: &Path, loaded: &Result<Config, ConfigErrors>, out: &mut dyn Write) -> io::Result<()> {
    match loaded {
        Err(errors) => writeln!(out, "{errors}"),
        Ok(config) => {
            for lint in &config.lints {
                writeln!(out, "{}:{lint}", path.display())?;
            }
            let Summary { tunnels, sas, policies } = Summary::of(config);
            let lints = config.lints.len();
            writeln!(
                out,
                "{}: ok: tunnels {tunnels}, SAs {sas}, policies {policies}, lints {lints}",
                path.display()
            )
        }
    }
}

impl Summary {
    fn of(config: &Config) -> Self {
        let desired = config.desired();
        Self { tunnels: config.tunnels.len(), sas: desired.sas.len(), policies: desired.policies.len() }
    }
}
