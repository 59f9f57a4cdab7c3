//! `keygen`: fresh keys of one direction.

use crate::cli::Keygen;
use crate::failure::Failure;
use crate::keys::private::{self, Overwrite};
use crate::keys::{fresh, suite::KeySlot};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Writes the keys to files, or the one key to `out`.
///
/// # Errors
/// A file is there already or cannot be written, or `out` cannot take two keys.
pub fn keygen(args: &Keygen, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    let slots = slots(args)?;
    let mut names: Vec<PathBuf> = Vec::new();
    for slot in &slots {
        let key = fresh::key(slot.bytes).map_err(|error| Failure::Task("random bytes", error.into()))?;
        let line = Zeroizing::new(format!("{}\n", *fresh::hex(&key)));
        let Some(path) = &args.out else {
            return match slots.len() {
                1 => out.write_all(line.as_bytes()).map_err(Failure::Output).map(|()| ExitCode::SUCCESS),
                _ => Err(Failure::Usage(
                    "this suite has two keys, one for each file: name --out FILE, which makes FILE.enc and FILE.auth",
                )),
            };
        };
        let path = if slots.len() == 1 { path.clone() } else { with_ending(path, slot.ending) };
        let overwrite = if args.force { Overwrite::Yes } else { Overwrite::No };
        let written = private::write(&path, &line, overwrite);
        written.inspect_err(|_| take_back(&names))?;
        names.push(path);
    }
    for (path, slot) in names.iter().zip(&slots) {
        writeln!(out, "{}: {} of {} bytes", path.display(), slot.name, slot.bytes)
            .map_err(Failure::Output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn slots(args: &Keygen) -> Result<Vec<KeySlot>, Failure> {
    let Some(bits) = args.bits else { return Ok(args.suite.slots()) };
    if bits % 8 != 0 {
        return Err(Failure::Usage("--bits must be a multiple of 8"));
    }
    Ok(vec![KeySlot { name: "key", ending: "key", bytes: bits as usize / 8 }])
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

/// One key without the other serves nobody.
fn take_back(names: &[PathBuf]) {
    for path in names {
        if let Err(error) = private::remove(path) {
            tracing::warn!("failed to remove {}: {error}", path.display());
        }
    }
}
