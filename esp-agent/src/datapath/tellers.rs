//! Programs that are never attached: the agent runs them over a frame, in which they leave what only the kernel's side knows.

use super::{DatapathError, clock, load, newest, object, pins::Pins};
use crate::config::Sizes;
use crate::picture::Picture;
use aya::{
    Ebpf, TestRun,
    programs::{SchedClassifier, TestRunOptions, Xdp},
};
use esp_common::{Newest, SadLayout, Settings, names};
use std::io;

/// They, in the kernel.
pub struct Tellers {
    ebpf: Ebpf,
    sad: SadLayout,
}

/// Room for what either leaves. The kernel takes no frame that is shorter than its Ethernet header.
const FRAME: [u8; 64] = [0; 64];

impl Tellers {
    /// Loads them. On a kernel that cannot be asked for an SA, or whose SAs cannot be read, none tells the newest: there the
    /// datapath goes on without.
    ///
    /// # Errors
    /// [`DatapathError::LoadProgram`], or the object cannot be loaded.
    pub fn load(pins: &Pins, sizes: &Sizes) -> Result<Self, DatapathError> {
        let found = object::sad()?;
        let mut sad = found.unwrap_or_default();
        let mut ebpf = load::loader(pins, sizes, load::Constants { sad, ..Default::default() })?;
        let name = names::PROG_CLOCK;
        load::tc(&mut ebpf, name)?
            .load()
            .map_err(|source| DatapathError::LoadProgram { name, source: Box::new(source) })?;
        if found.is_some()
            && let Err(error) = load::xdp(&mut ebpf, names::PROG_NEWEST)?.load()
        {
            tracing::warn!("each packet with an unknown SPI asks the kernel, which is slower: {error}");
            sad = SadLayout::default();
        }
        Ok(Self { ebpf, sad })
    }

    /// Where this kernel keeps its SAs; zero where they cannot be read.
    #[must_use]
    pub fn sad(&self) -> SadLayout {
        self.sad
    }

    /// Sets what the datapath reckons its time by. Ticks that a virtual machine lost make jiffies fall behind: asked anew
    /// before each lease.
    ///
    /// # Errors
    /// [`DatapathError::Clock`].
    pub fn clock(&self, settings: &mut Settings) -> Result<(), DatapathError> {
        let program: Option<&SchedClassifier> =
            self.ebpf.program(names::PROG_CLOCK).and_then(|program| program.try_into().ok());
        clock::set(program.ok_or(DatapathError::NoProgram(names::PROG_CLOCK))?, settings)
    }

    /// The kernel's newest SA, if it and all others are in the picture; else what no SA is.
    ///
    /// # Errors
    /// [`DatapathError::Newest`].
    pub fn newest(&self, picture: &Picture) -> Result<Newest, DatapathError> {
        if self.sad == SadLayout::default() {
            return Ok(Newest::default());
        }
        let program: Option<&Xdp> =
            self.ebpf.program(names::PROG_NEWEST).and_then(|program| program.try_into().ok());
        let told = newest::ask(program.ok_or(DatapathError::NoProgram(names::PROG_NEWEST))?)?;
        Ok(newest::known(picture, &told))
    }
}

/// What a program leaves, run in this thread's network namespace.
///
/// # Errors
/// The kernel's.
pub(super) fn told<P>(program: &P) -> io::Result<[u8; FRAME.len()]>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>>,
{
    let mut out = FRAME;
    let options = TestRunOptions { data_in: Some(&FRAME), data_out: Some(&mut out), ..TestRunOptions::new() };
    program.test_run(options).map_err(io::Error::other)?;
    Ok(out)
}
