//! ESP on the wire of a [`Site`] without a pause, while a test does something else.

use crate::{
    agent::PATIENCE,
    frame::Payload,
    site::{Site, inbound},
    wait,
};
use anyhow::Result;
use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

/// Between two frames.
const PACE: Duration = Duration::from_millis(1);

/// Frames of so many SAs in turn, each SA's numbered from 1.
#[derive(Debug)]
pub struct Traffic {
    first: u32,
    sas: u32,
    sent: AtomicU64,
    stop: AtomicBool,
}

/// Ends the traffic when it goes, also when a test fails: a scope waits for its threads.
#[derive(Debug)]
pub struct StopAtEnd<'a>(&'a Traffic);

impl Traffic {
    /// Of the SAs from `first` on.
    #[must_use]
    pub const fn of(first: u32, sas: u32) -> Self {
        Self { first, sas, sent: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    /// What ends it.
    #[must_use]
    pub const fn end(&self) -> StopAtEnd<'_> {
        StopAtEnd(self)
    }

    /// Sends until it is told to stop; how many.
    ///
    /// # Errors
    /// When the wire is gone.
    pub fn run(&self, site: &Site) -> Result<u64> {
        let far = site.far()?;
        while !self.stop.load(Ordering::Relaxed) {
            let sent = self.sent.load(Ordering::Relaxed);
            let sas = u64::from(self.sas);
            let (sa, number) = (u32::try_from(sent % sas)?, u32::try_from(sent / sas)? + 1);
            match far.send(&inbound(&Payload::esp(self.first + sa, number, 64)).build()) {
                Ok(()) => self.sent.store(sent + 1, Ordering::Relaxed),
                // Again, behind the pace.
                Err(error) if is_going_down(&error) => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(PACE);
        }
        Ok(self.sent.load(Ordering::Relaxed))
    }

    /// Waits until so many more were sent.
    ///
    /// # Errors
    /// When they are not.
    pub fn wait_sent(&self, more: u64) -> Result<()> {
        let goal = self.sent.load(Ordering::Relaxed) + more;
        wait::until(PATIENCE, "traffic", || (self.sent.load(Ordering::Relaxed) >= goal).then_some(()))
    }
}

/// A veth whose other end has gone down refuses frames (`veth_xmit`) until its own carrier is off; then they vanish
/// (`noop_enqueue`).
fn is_going_down(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) == Some(libc::ENOBUFS)
}

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}
