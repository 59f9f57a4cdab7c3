//! Frames that a fuzzer found, each for a way through the datapath that no other had taken ([`crate::fuzz`]).

use anyhow::{Context as _, Result};
use std::{fmt::Write as _, path::PathBuf};

/// The file: a frame a line, in hexadecimal.
#[must_use]
pub fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/frames.hex"))
}

/// The frames.
///
/// # Errors
/// The file cannot be read, or is not as above.
pub fn read() -> Result<Vec<Vec<u8>>> {
    let path = file();
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let line = |(number, line): (usize, &str)| {
        const_hex::decode(line).with_context(|| format!("line {} of {}", number + 1, path.display()))
    };
    text.lines().enumerate().map(line).collect()
}

/// Writes them.
///
/// # Errors
/// The file cannot be written.
pub fn write(frames: &[Vec<u8>]) -> Result<()> {
    let mut text = String::new();
    for frame in frames {
        writeln!(text, "{}", const_hex::encode(frame))?;
    }
    let path = file();
    std::fs::write(&path, text).with_context(|| format!("failed to write {}", path.display()))
}
