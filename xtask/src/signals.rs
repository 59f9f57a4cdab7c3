//! Termination signals as a flag, so that guards run and no child or directory is left behind.

use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};

static CAUGHT: AtomicI32 = AtomicI32::new(0);

/// Blocks SIGINT, SIGTERM and SIGHUP in this and all later threads; a thread of its own notes them.
///
/// # Errors
/// The signal mask cannot be set, or no thread can be started.
pub(crate) fn watch() -> anyhow::Result<()> {
    let set = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    set.thread_block().context("failed to block the termination signals")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while let Ok(signal) = set.wait() {
                CAUGHT.store(signal as i32, Ordering::Relaxed);
            }
        })
        .context("failed to start the signal thread")?;
    Ok(())
}

/// The termination signal that arrived, if any.
pub(crate) fn caught() -> Option<Signal> {
    Signal::try_from(CAUGHT.load(Ordering::Relaxed)).ok()
}
