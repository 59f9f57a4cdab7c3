//! `check`: tells what is wrong with a configuration. Needs no root and changes nothing.

use crate::config::{self, Config, ConfigError, ConfigErrors, Lint};
use crate::failure::USAGE;
use crate::instance::Instance;
use crate::mtu::{ETHERNET, Fit};
use crate::rotation::Rotations;
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
    rotated: &'a [String],
    fits: Vec<Fit>,
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
pub fn check(path: &Path, instance: &Instance, json: bool, out: &mut dyn Write) -> io::Result<ExitCode> {
    let loaded = config::load(path);
    let rotated = loaded.as_ref().map(|config| rotated(config, instance)).unwrap_or_default();
    match json {
        true => write_json(path, &loaded, &rotated, out)?,
        false => write_text(path, &loaded, &rotated, out)?,
    }
    Ok(if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
}

/// Whose keys are not those of the file. The store is root's: whoever may not read it is told so.
fn rotated(config: &Config, instance: &Instance) -> Vec<String> {
    match Rotations::of(instance) {
        Ok(mut rotations) => {
            drop(rotations.take_over(&mut config.clone()));
            rotations.rows().iter().map(ToString::to_string).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

fn write_json(
    path: &Path,
    loaded: &Result<Config, ConfigErrors>,
    rotated: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    let (errors, lints): (&[ConfigError], &[Lint]) = match loaded {
        Ok(config) => (&[], &config.lints),
        Err(errors) => (&errors.0, &[]),
    };
    let summary = loaded.as_ref().ok().map(Summary::of);
    let fits = loaded.as_ref().map(fits).unwrap_or_default();
    let file = path.display().to_string();
    let outcome = Outcome { file, ok: loaded.is_ok(), errors, lints, summary, rotated, fits };
    serde_json::to_writer_pretty(&mut *out, &outcome)?;
    writeln!(out)
}

fn write_text(
    path: &Path,
    loaded: &Result<Config, ConfigErrors>,
    rotated: &[String],
    out: &mut dyn Write,
) -> io::Result<()> {
    match loaded {
        Err(errors) => writeln!(out, "{errors}"),
        Ok(config) => {
            for lint in &config.lints {
                writeln!(out, "{}:{lint}", path.display())?;
            }
            for line in rotated {
                writeln!(out, "{}: {line}", path.display())?;
            }
            for fit in fits(config) {
                writeln!(out, "{}: {fit}", path.display())?;
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

/// Nothing here knows the path.
fn fits(config: &Config) -> Vec<Fit> {
    config.tunnels.iter().filter_map(|tunnel| Fit::of(tunnel, ETHERNET)).collect()
}

impl Summary {
    fn of(config: &Config) -> Self {
        let desired = config.desired();
        Self { tunnels: config.tunnels.len(), sas: desired.sas.len(), policies: desired.policies.len() }
    }
}
