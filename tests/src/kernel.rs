//! The programs in the running kernel, without pins and without interfaces: frames go in by `BPF_PROG_TEST_RUN`.

use anyhow::{Context as _, Result, anyhow};
use aya::{
    Ebpf, EbpfLoader, Pod, TestRun as _,
    maps::{Array, HashMap, MapData, PerCpuArray},
    programs::{SchedClassifier, TestRunOptions, Xdp},
};
use esp_common::{Action, Counter, Hook, Reason, counter::reason_index, names};

/// What the programs are told.
#[derive(Clone, Copy, Default, Debug)]
pub struct Constants {
    /// TC judges the outer packet.
    pub outer_at_tc: bool,
    /// Frames start with the IP header.
    pub no_ethernet: bool,
}

/// The object, loaded.
pub struct Kernel {
    ebpf: Ebpf,
}

impl Kernel {
    /// Loads all programs.
    ///
    /// Errors: the verifier's log, if it refuses one.
    pub fn load(constants: Constants) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .override_global(names::GLOBAL_OUTER_AT_TC, &u32::from(constants.outer_at_tc), true)
            .override_global(names::GLOBAL_NO_ETHERNET, &u32::from(constants.no_ethernet), true)
            .load(esp_agent::datapath::object::bytes()?)
            .context("failed to load the object")?;
        for name in [names::PROG_XDP, names::PROG_EMPTY] {
            let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("failed to load {name}"))?;
        }
        for name in [names::PROG_TC_IN, names::PROG_TC_OUT] {
            let program: &mut SchedClassifier =
                ebpf.program_mut(name).context("no such program")?.try_into()?;
            program.load().with_context(|| format!("failed to load {name}"))?;
        }
        Ok(Self { ebpf })
    }

    /// Writes an element of an array.
    ///
    /// Errors: no such map, or the kernel's.
    pub fn set<V: Pod>(&mut self, map: &str, index: u32, value: V) -> Result<()> {
        let map = self.ebpf.map_mut(map).context("no such map")?;
        Array::<&mut MapData, V>::try_from(map)?.set(index, value, 0).map_err(|error| anyhow!(error))
    }

    /// Writes an entry of a hash map.
    ///
    /// Errors: no such map, or the kernel's.
    pub fn insert<K: Pod, V: Pod>(&mut self, map: &str, key: K, value: V) -> Result<()> {
        let map = self.ebpf.map_mut(map).context("no such map")?;
        HashMap::<&mut MapData, K, V>::try_from(map)?.insert(key, value, 0).map_err(|error| anyhow!(error))
    }

    /// The object, for maps that a test reads itself.
    pub fn ebpf(&self) -> &Ebpf {
        &self.ebpf
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

    /// All reasons that were counted on slot 0.
    ///
    /// Errors: the map cannot be read.
    pub fn reasons(&self) -> Result<Vec<(Hook, Reason, Action, Counter)>> {
        let map = self.ebpf.map(names::MAP_REASONS).context("no such map")?;
        let map = PerCpuArray::<&MapData, Counter>::try_from(map)?;
        let mut found = Vec::new();
        for hook in Hook::ALL {
            for reason in Reason::ALL.iter().copied() {
                for action in Action::ALL {
                    let values = map.get(&reason_index(0, hook, reason, action), 0)?;
                    let packets: u64 = values.iter().map(|cpu| cpu.packets).sum();
                    let bytes = values.iter().map(|cpu| cpu.bytes).sum();
                    if packets > 0 {
                        found.push((hook, reason, action, Counter { packets, bytes }));
                    }
                }
            }
        }
        Ok(found)
    }
}
