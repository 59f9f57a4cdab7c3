//! Another SPI for each packet: what a table costs when its lines are not in the cache.

use super::{cost::once_of, object};
use crate::kernel::Kernel;
use anyhow::{Context as _, Result, bail, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::{Array, ProgramArray},
    programs::{TestRunAttrs, TestRunOptions, Xdp},
};
use std::time::Instant;

const DRIVER: &str = "esp_vary";
/// Bytes of an Ethernet and an IPv4 header.
const HEADERS: usize = 34;

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
        Self::with(kernel, program, spis, offset, None)
    }

    /// As [`Varied::new`], with the Ethernet and IPv4 header of `frame` written anew for each packet.
    ///
    /// # Errors
    /// As there; the frame is too short.
    pub fn restoring(kernel: &Kernel, program: &str, spis: Spis, frame: &[u8]) -> Result<Self> {
        let header = frame.first_chunk().context("a frame without its headers")?;
        Self::with(kernel, program, spis, HEADERS as u32, Some(header))
    }

    fn with(
        kernel: &Kernel,
        program: &str,
        spis: Spis,
        offset: u32,
        header: Option<&[u8; HEADERS]>,
    ) -> Result<Self> {
        ensure!(spis.count.is_power_of_two(), "{} SPIs are no power of two", spis.count);
        let object = object::read("esp-vary")?;
        let bits = spis.count.trailing_zeros();
        let mut ebpf = EbpfLoader::new()
            .override_global("SPI_OFFSET", &offset, true)
            .override_global("SPI_BITS", &bits, true)
            .override_global("SPI_BASE", &spis.base, true)
            .override_global("RESTORE", &u32::from(header.is_some()), true)
            .load(&object)
            .context("failed to load the driver")?;
        if let Some(header) = header {
            let mut element = [0_u8; 40];
            element[..HEADERS].copy_from_slice(header);
            let map = ebpf.map_mut("HEADER").context("no such map")?;
            Array::<_, [u8; 40]>::try_from(map)?.set(0, element, 0)?;
        }
        let driver: &mut Xdp = ebpf.program_mut(DRIVER).context("no such program")?.try_into()?;
        driver.load().context("failed to load the driver")?;
        let behind: &Xdp = kernel.ebpf().program(program).context("no such program")?.try_into()?;
        let mut jump = ProgramArray::try_from(ebpf.map_mut("JUMP").context("no such map")?)?;
        jump.set(0, behind.fd()?, 0)?;
        Ok(Self(ebpf))
    }

    /// Runs `repeat` packets that come in by an interface of this thread's namespace, and go where the program sends them:
    /// ns of wall time for one, with all that the stack does with it on this CPU.
    ///
    /// # Errors
    /// The kernel's (Linux 5.18).
    pub fn live(&self, frame: &[u8], ifindex: u32, repeat: u32) -> Result<f64> {
        /// As many as a driver takes in one round of NAPI.
        const BATCH: u32 = 64;
        let Some(aya::programs::Program::Xdp(driver)) = self.0.program(DRIVER) else {
            bail!("the driver is no XDP program");
        };
        // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, u32::try_from(frame.len())?, 0, ifindex, 0, 0];
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(bytemuck::cast_slice(&context)),
            repeat,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::new()
        };
        let start = Instant::now();
        driver.test_run(options)?;
        Ok(start.elapsed().as_nanos() as f64 / f64::from(repeat))
    }

    /// Runs `repeat` packets; ns of thread CPU time for one. `verdict` is what the last must return.
    ///
    /// # Errors
    /// The kernel's; another verdict.
    pub fn run(&self, frame: &[u8], repeat: u32, verdict: u32) -> Result<f64> {
        let Some(aya::programs::Program::Xdp(driver)) = self.0.program(DRIVER) else {
            bail!("the driver is no XDP program");
        };
        once_of(driver, frame, repeat, verdict)
    }
}
