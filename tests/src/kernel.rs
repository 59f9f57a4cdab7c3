//! The programs in the running kernel, without pins and without interfaces: frames go in by `BPF_PROG_TEST_RUN`.

mod attach;
mod beside;
mod counts;
mod hand;
mod tell;

use crate::world::World;
use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader, TestRun as _,
    maps::xdp::DevMapHash,
    programs::{RawTracePoint, SchedClassifier, TestRunOptions, Xdp},
};
use beside::Beside;
use esp_agent::{
    config::Sizes,
    datapath::{load, newest, object, table::Table},
};
use esp_common::{Action, Hook, NewestSa, names, transit::mac_word};

pub use counts::SeenFlow;

/// What the programs are told when they are loaded.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Constants {
    /// TC judges the outer packet.
    pub outer_at_tc: bool,
    /// Frames start with the IP header.
    pub no_ethernet: bool,
    /// MAC address of the interface.
    pub mac: [u8; 6],
}

impl Constants {
    /// Each variant that can be loaded.
    pub const ALL: [Self; 4] = [
        Self { outer_at_tc: false, no_ethernet: false, mac: [0; 6] },
        Self { outer_at_tc: false, no_ethernet: true, mac: [0; 6] },
        Self { outer_at_tc: true, no_ethernet: false, mac: [0; 6] },
        Self { outer_at_tc: true, no_ethernet: true, mac: [0; 6] },
    ];
}

/// The object, loaded.
pub struct Kernel {
    ebpf: Ebpf,
    told: World,
    maps: Beside,
    table: Table,
    /// [`esp_common::Settings::locals`].
    locals: u32,
}

impl Kernel {
    /// Loads all programs.
    ///
    /// Errors: the verifier's log, if it refuses one.
    pub fn load(constants: Constants) -> Result<Self> {
        Self::sized(constants, &Sizes::default())
    }

    /// As [`Kernel::load`], with maps of other sizes.
    ///
    /// Errors: as there.
    pub fn sized(constants: Constants, sizes: &Sizes) -> Result<Self> {
        let (outer_at_tc, no_ethernet) = (u32::from(constants.outer_at_tc), u32::from(constants.no_ethernet));
        let mac = mac_word(constants.mac);
        let sad = object::sad()?;
        let layout = sad.unwrap_or_default();
        let mut loader = EbpfLoader::new();
        loader.override_global(names::GLOBAL_MAC, &mac, true).override_global(
            names::GLOBAL_SAD,
            &layout,
            true,
        );
        loader.override_global(names::GLOBAL_OUTER_AT_TC, &outer_at_tc, true).override_global(
            names::GLOBAL_NO_ETHERNET,
            &no_ethernet,
            true,
        );
        load::size(&mut loader, sizes)?;
        let mut ebpf = loader.load(object::bytes()?).context("failed to load the object")?;
        for name in XDP_PROGRAMS.into_iter().chain(sad.map(|_| names::PROG_NEWEST)) {
            let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("failed to load {name}"))?;
        }
        for name in [names::PROG_TC_IN, names::PROG_TC_OUT, names::PROG_CLOCK] {
            let program: &mut SchedClassifier =
                ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("failed to load {name}"))?;
        }
        for name in [names::PROG_FULL, names::PROG_REFUSED] {
            let program: &mut RawTracePoint =
                ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("failed to load {name}"))?;
        }
        let (maps, table) = Beside::of(&ebpf, sizes)?;
        Ok(Self { ebpf, told: World::default(), maps, table, locals: 0 })
    }

    /// The object, for maps that a test reads itself.
    pub fn ebpf(&self) -> &Ebpf {
        &self.ebpf
    }

    /// One of its XDP programs.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn xdp(&self, name: &str) -> Result<&Xdp> {
        Ok(self.ebpf.program(name).context("no such program")?.try_into()?)
    }

    /// The SA that the kernel of this thread's namespace got last; `None` where it cannot be read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn newest(&self) -> Result<Option<NewestSa>> {
        let program = self.xdp(names::PROG_NEWEST)?;
        Ok(if object::sad()?.is_some() { Some(newest::ask(program)?) } else { None })
    }

    /// The table of SAs.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Lets transit leave by an interface.
    ///
    /// Errors: the kernel's.
    pub fn port(&mut self, ifindex: u32) -> Result<()> {
        let map = self.ebpf.map_mut(names::MAP_PORTS).context("no such map")?;
        Ok(DevMapHash::try_from(map)?.insert(ifindex, ifindex, None, 0)?)
    }

    /// Runs one frame through the program of `hook`; its verdict.
    ///
    /// Errors: the kernel's, or a return value that no verdict has.
    pub fn verdict(&self, hook: Hook, frame: &[u8]) -> Result<Action> {
        let (program, pass, drop) = match hook {
            Hook::Xdp => (names::PROG_XDP, XDP_PASS, XDP_DROP),
            Hook::TcIngress => (names::PROG_TC_IN, TC_ACT_UNSPEC, TC_ACT_SHOT),
            Hook::TcEgress => (names::PROG_TC_OUT, TC_ACT_UNSPEC, TC_ACT_SHOT),
        };
        match self.run(program, frame, 1)?.0 {
            value if value == pass => Ok(Action::Pass),
            value if value == drop => Ok(Action::Drop),
            value => anyhow::bail!("{program} returned {value}"),
        }
    }

    /// Runs one frame `repeat` times; the program's return value and the kernel's mean ns for one run.
    ///
    /// Errors: the kernel's; it takes no frame of less than 14 bytes.
    pub fn run(&self, program: &str, frame: &[u8], repeat: u32) -> Result<(u32, u64)> {
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat,
            ..TestRunOptions::new()
        };
        let program = self.ebpf.program(program).context("no such program")?;
        let result = if let aya::programs::Program::Xdp(program) = program {
            program.test_run(options)?
        } else {
            <&SchedClassifier>::try_from(program)?.test_run(options)?
        };
        Ok((result.return_value, result.duration.as_nanos().try_into()?))
    }
}

/// True when `BPF_PROG_TEST_RUN` takes the frame: a page less its headroom, an Ethernet header at least, and behind it for TC
/// the IP header that its type names (net/bpf/test_run.c, Linux 6.18).
#[must_use]
pub fn takes(hook: Hook, frame: &[u8]) -> bool {
    const ETHERNET: usize = 14;
    let shortest = match (hook, frame.get(12..ETHERNET)) {
        (Hook::TcIngress | Hook::TcEgress, Some([0x08, 0x00])) => ETHERNET + 20,
        (Hook::TcIngress | Hook::TcEgress, Some([0x86, 0xdd])) => ETHERNET + 40,
        (Hook::TcIngress | Hook::TcEgress, _) => ETHERNET + 1,
        (Hook::Xdp, _) => ETHERNET,
    };
    (shortest..=3_000).contains(&frame.len())
}

/// All programs of this kind.
const XDP_PROGRAMS: [&str; 5] =
    [names::PROG_XDP, names::PROG_XDP_FRAGS, names::PROG_CPU, names::PROG_CPU_FRAGS, names::PROG_EMPTY];

/// `enum xdp_action`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
/// `TC_ACT_*` of linux/pkt_cls.h.
const TC_ACT_UNSPEC: u32 = -1_i32 as u32;
const TC_ACT_SHOT: u32 = 2;
