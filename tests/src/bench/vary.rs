//! Another SPI for each packet: what a table costs when its lines are not in the cache.

use super::{
    cost::{once_of, thread_ns},
    object,
    path::Path,
};
use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::{Array, ProgramArray},
    programs::{TestRunAttrs, TestRunOptions, Xdp},
};

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
    pub fn new(program: &Xdp, spis: Spis, offset: u32) -> Result<Self> {
        Self::with(program, spis, offset, None)
    }

    /// As [`Varied::new`], for the one SPI of a path.
    ///
    /// # Errors
    /// As there.
    pub fn of_path(program: &Xdp, path: &Path) -> Result<Self> {
        Self::new(program, Spis { base: path.first, count: 1 }, path.spi_at)
    }

    /// As [`Varied::new`], with the Ethernet and IPv4 header of `frame` written anew for each packet.
    ///
    /// # Errors
    /// As there; the frame is too short.
    pub fn restoring(program: &Xdp, spis: Spis, frame: &[u8]) -> Result<Self> {
        let header = frame.first_chunk().context("a frame without its headers")?;
        Self::with(program, spis, HEADERS as u32, Some(header))
    }

    fn with(behind: &Xdp, spis: Spis, offset: u32, header: Option<&[u8; HEADERS]>) -> Result<Self> {
        let mut ebpf = load(DRIVER, spis, offset, header.is_some())?;
        if let Some(header) = header {
            let mut element = [0_u8; 40];
            element[..HEADERS].copy_from_slice(header);
            let map = ebpf.map_mut("HEADER").context("no such map")?;
            Array::<_, [u8; 40]>::try_from(map)?.set(0, element, 0)?;
        }
        let mut jump = ProgramArray::try_from(ebpf.map_mut("JUMP").context("no such map")?)?;
        jump.set(0, behind.fd()?, 0)?;
        Ok(Self(ebpf))
    }

    /// Runs `repeat` packets that come in by an interface of this thread's namespace, and go where the program sends them:
    /// ns of CPU time for one, with all that the stack does with it on this CPU in the place of this thread. Wall time would be
    /// of no use: the kernel waits some 20 ms for grace periods in each run, which is 100 ns of each of 200,000 packets.
    ///
    /// # Errors
    /// The kernel's (Linux 5.18).
    pub fn live(&self, frame: &[u8], ifindex: u32, repeat: u32) -> Result<f64> {
        live(loaded(&self.0, DRIVER)?, frame, ifindex, repeat)
    }

    /// Runs `repeat` packets; ns of thread CPU time for one. `verdict` is what the last must return.
    ///
    /// # Errors
    /// The kernel's; another verdict.
    pub fn run(&self, frame: &[u8], repeat: u32, verdict: u32) -> Result<f64> {
        once_of(loaded(&self.0, DRIVER)?, frame, repeat, verdict)
    }
}

/// Loads one of the drivers.
pub(super) fn load(name: &str, spis: Spis, offset: u32, restore: bool) -> Result<Ebpf> {
    ensure!(spis.count.is_power_of_two(), "{} SPIs are no power of two", spis.count);
    let object = object::read("esp-vary")?;
    let bits = spis.count.trailing_zeros();
    let mut ebpf = EbpfLoader::new()
        .override_global("SPI_OFFSET", &offset, true)
        .override_global("SPI_BITS", &bits, true)
        .override_global("SPI_BASE", &spis.base, true)
        .override_global("RESTORE", &u32::from(restore), true)
        .load(&object)
        .context("failed to load the driver")?;
    let driver: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
    driver.load().context("failed to load the driver")?;
    Ok(ebpf)
}

/// A program of an object.
pub(super) fn loaded<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a Xdp> {
    Ok(ebpf.program(name).context("no such program")?.try_into()?)
}

/// As [`Varied::live`].
pub(super) fn live(driver: &Xdp, frame: &[u8], ifindex: u32, repeat: u32) -> Result<f64> {
    /// As many as a driver takes in one round of NAPI.
    const BATCH: u32 = 64;
    // `struct xdp_md`: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context = [0, u32::try_from(frame.len())?, 0, ifindex, 0, 0];
    let options = TestRunOptions {
        data_in: Some(frame),
        ctx_in: Some(bytemuck::cast_slice(&context)),
        repeat,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::new()
    };
    let start = thread_ns()?;
    driver.test_run(options)?;
    Ok((thread_ns()? - start) as f64 / f64::from(repeat))
}
