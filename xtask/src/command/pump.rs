//! Output of a child, passed on as it arrives.

use std::io::{Read, Write};
use std::thread::JoinHandle;

use anyhow::Context;

/// Whether [`pump`] keeps what it passes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Nothing,
    All,
}

/// Passes a stream on to standard output, each line behind `label`; what is kept has no labels.
pub(crate) fn pump(
    mut from: impl Read + Send + 'static,
    keep: Keep,
    label: &str,
) -> JoinHandle<std::io::Result<Vec<u8>>> {
    let mut lines = Labelled::new(label);
    std::thread::spawn(move || {
        let (mut kept, mut chunk) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            let count = match from.read(&mut chunk) {
                Ok(0) => {
                    std::io::stdout().write_all(&lines.rest())?;
                    return Ok(kept);
                }
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = chunk.get(..count).unwrap_or_default();
            let mut out = std::io::stdout().lock();
            out.write_all(&lines.label(bytes)).and_then(|()| out.flush())?;
            if keep == Keep::All {
                kept.extend_from_slice(bytes);
            }
        }
    })
}

/// The text that a [`pump`] has kept, once its stream has ended.
pub(crate) fn joined(pump: JoinHandle<std::io::Result<Vec<u8>>>) -> anyhow::Result<String> {
    let kept = pump.join().map_err(|_| anyhow::anyhow!("the thread that copies the output panicked"))?;
    let kept = kept.context("failed to copy the output of a child")?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

/// Puts a label before each line of a stream that comes in pieces. Without a label pieces stay as they are; with
/// one a line is held until its end, so that two streams on one terminal do not share a line.
struct Labelled {
    label: Vec<u8>,
    begun: Vec<u8>,
}

impl Labelled {
    fn new(label: &str) -> Self {
        Self { label: label.as_bytes().to_vec(), begun: Vec::new() }
    }

    fn label(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.label.is_empty() {
            return bytes.to_vec();
        }
        let mut out = Vec::with_capacity(bytes.len());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                out.extend_from_slice(&self.label);
                out.append(&mut self.begun);
            }
        }
        out
    }

    /// The last line, if the stream broke off within it.
    fn rest(&mut self) -> Vec<u8> {
        if self.begun.is_empty() { Vec::new() } else { self.label(b"\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_whole_line_gets_the_label_once() {
        let mut lines = Labelled::new("a: ");
        assert_eq!(lines.label(b"one\ntw"), b"a: one\n");
        assert_eq!(lines.label(b"o\n\n"), b"a: two\na: \n");
        assert_eq!((lines.label(b"cut"), lines.rest()), (b"".to_vec(), b"a: cut\n".to_vec()));
        assert_eq!(lines.rest(), b"");
        assert_eq!(Labelled::new("").label(b"one\ntw"), b"one\ntw");
    }
}
