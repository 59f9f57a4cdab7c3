//! The objects that only the bench has.

use anyhow::{Context as _, Result};
use std::path::Path;

/// Reads one of them.
///
/// # Errors
/// It was not built.
pub(super) fn read(name: &str) -> Result<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf");
    let path = dir.join(name).with_extension("o");
    std::fs::read(&path)
        .with_context(|| format!("failed to read {}: run `cargo xtask build-ebpf`", path.display()))
}
