//! The files of a daemon's packages, laid over /usr of one namespace: its paths are compiled in.

use crate::netns::Netns;
use anyhow::{Context, Result, ensure};
use nix::mount::{MsFlags, mount};
use std::path::Path;

/// Lays them over.
///
/// # Errors
/// They were not unpacked, or there is no overlay file system.
pub(super) fn lay(netns: &Netns, daemon: &str) -> Result<()> {
    let usr = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools").join(daemon).join("usr");
    ensure!(usr.is_dir(), "no {}: run `cargo xtask setup`", usr.display());
    let usr = usr.canonicalize()?;
    netns.run_in(|| {
        let layers = format!("lowerdir={}:/usr", usr.display());
        mount(Some("overlay"), "/usr", Some("overlay"), MsFlags::MS_RDONLY, Some(layers.as_str()))
            .with_context(|| format!("failed to lay {} over /usr", usr.display()))
    })
}
