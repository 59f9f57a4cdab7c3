//! `check --dump`: tells what is unwise in the SAs and policies of any host, from the text of `ip xfrm`.

use crate::failure::USAGE;
use crate::lint::Finding;
use crate::lint::dump::Dump;
use serde::Serialize;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// What `check --dump --json` prints. Fields are only ever added.
#[derive(Serialize)]
struct Outcome<'a> {
    ok: bool,
    errors: &'a [Unread],
    lints: &'a [Finding],
    sas: usize,
    policies: usize,
}

/// A file that could not be understood.
#[derive(Serialize)]
struct Unread {
    file: String,
    line: Option<usize>,
    text: String,
}

/// Reads `files` as the dump of one host, `-` as the standard input, and writes what is found to `out`. Exit code 0, or
/// 64 when a file cannot be understood.
///
/// # Errors
/// When `out` cannot be written.
pub fn check(files: &[PathBuf], json: bool, out: &mut dyn Write) -> io::Result<ExitCode> {
    let mut dump = Dump::default();
    let errors: Vec<Unread> = files.iter().filter_map(|file| read(&mut dump, file).err()).collect();
    let lints = if errors.is_empty() { dump.findings() } else { Vec::new() };
    match json {
        true => {
            let (sas, policies) = (dump.sas.len(), dump.policies.len());
            let outcome = Outcome { ok: errors.is_empty(), errors: &errors, lints: &lints, sas, policies };
            serde_json::to_writer_pretty(&mut *out, &outcome)?;
            writeln!(out)?;
        }
        false => write_text(&dump, &errors, &lints, out)?,
    }
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
}

/// The text may hold keys: it is wiped.
fn read(dump: &mut Dump, file: &Path) -> Result<(), Unread> {
    let name = || file.display().to_string();
    let text = text_of(file).map_err(|error| Unread {
        file: name(),
        line: None,
        text: format!("failed to read it: {error}"),
    })?;
    dump.read(&text).map_err(|error| Unread {
        file: name(),
        line: Some(error.line),
        text: error.text.to_owned(),
    })
}

fn text_of(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if file == Path::new("-") {
        io::stdin().lock().read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.read_to_string(&mut text)?;
    }
    Ok(text)
}

fn write_text(dump: &Dump, errors: &[Unread], lints: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for Unread { file, line, text } in errors {
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        writeln!(out, "{file}{line}: {text}")?;
    }
    if !errors.is_empty() {
        return Ok(());
    }
    lints.iter().try_for_each(|lint| writeln!(out, "{lint}"))?;
    writeln!(out, "SAs {}, policies {}, lints {}", dump.sas.len(), dump.policies.len(), lints.len())
}
