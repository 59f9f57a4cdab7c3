//! Another SPI for each packet: what a table costs when its lines are not in the cache.

use super::cost::thread_ns;
use crate::kernel::Kernel;
use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::ProgramArray,
    programs::{TestRunOptions, Xdp},
};
use std::path::Path;

const DRIVER: &str = "esp_vary";

/// The driver in front of one program.
pub struct Varied(Ebpf);

/// Which SPIs the packets have.
#[derive(Clone, Copy, Debug)]
pub struct Spis {
    /// The first.
    pub base: u32,
    /// How many, a power of two.
    pub count: u32,
}

impl Varied {
    /// Puts the driver in front of `program`; the SPI is at `offset` in its frames.
    ///
    /// # Errors
    /// The driver was not built, or the kernel does not take it.
    pub fn new(kernel: &Kernel, program: &str, spis: Spis, offset: u32) -> Result<Self> {
        ensure!(spis.count.is_power_of_two(), "{} SPIs are no power of two", spis.count);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/esp-vary.o");
        let object = std::fs::read(&path)
            .with_context(|| format!("failed to read {}: run `cargo xtask build-ebpf`", path.display()))?;
        let bits = spis.count.trailing_zeros();
        let mut ebpf = EbpfLoader::new()
            .override_global("SPI_OFFSET", &offset, true)
            .override_global("SPI_BITS", &bits, true)
            .override_global("SPI_BASE", &spis.base, true)
            .load(&object)
            .context("failed to load the driver")?;
        let driver: &mut Xdp = ebpf.program_mut(DRIVER).context("no such program")?.try_into()?;
        driver.load().context("failed to load the driver")?;
        let behind: &Xdp = kernel.ebpf().program(program).context("no such program")?.try_into()?;
        let mut jump = ProgramArray::try_from(ebpf.map_mut("JUMP").context("no such map")?)?;
        jump.set(0, behind.fd()?, 0)?;
        Ok(Self(ebpf))
    }

    /// Runs `repeat` packets; ns of thread CPU time for one. `verdict` is what the last must return.
    ///
    /// # Errors
    /// The kernel's; another verdict.
    pub fn run(&self, frame: &[u8], repeat: u32, verdict: u32) -> Result<f64> {
        let Some(aya::programs::Program::Xdp(driver)) = self.0.program(DRIVER) else {
            bail!("the driver is no XDP program");
        };
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::new() };
        let start = thread_ns()?;
        let result = driver.test_run(options)?;
        let ns = (thread_ns()? - start) as f64 / f64::from(repeat);
        ensure!(result.return_value == verdict, "it returned {} and not {verdict}", result.return_value);
        Ok(ns)
    }
}
