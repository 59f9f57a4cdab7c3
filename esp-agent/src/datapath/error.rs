//! What can go wrong with the datapath, with its object and the way out.

use std::path::PathBuf;

/// A failed step.
#[derive(Debug, thiserror::Error)]
pub enum DatapathError {
    /// The binary carries no object.
    #[error(
        "this binary was built without the eBPF object: run `cargo xtask build-ebpf`, then build esp-agent again"
    )]
    NoObject,
    /// The binary carries something else.
    #[error("failed to read the eBPF object of this binary: build it again")]
    Object(#[source] object::Error),
    /// bpffs is not there.
    #[error(
        "{0} is not on a BPF file system: mount one with `mount -t bpf bpf /sys/fs/bpf`, or name another with --bpffs"
    )]
    NoBpffs(PathBuf),
    /// A file or folder of the pins.
    #[error("failed to {what} {path}")]
    Pin {
        /// What was tried.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A pinned map could not be opened.
    #[error("failed to open map {name} under {dir}: is the agent set up on this host?")]
    OpenMap {
        /// Map.
        name: &'static str,
        /// Pin directory.
        dir: PathBuf,
        /// Why not.
        source: aya::maps::MapError,
    },
    /// A map could not be read or written.
    #[error("failed to {what} map {name}")]
    Map {
        /// What was tried.
        what: &'static str,
        /// Map.
        name: &'static str,
        /// Why not.
        source: aya::maps::MapError,
    },
    /// The kernel did not take the object.
    #[error("failed to load the eBPF object (CONFIG_BPF_SYSCALL and CONFIG_BPF_JIT are needed)")]
    Load(#[source] Box<aya::EbpfError>),
    /// The object has no such program: it is of another version.
    #[error("the eBPF object has no program {0}: build it again with `cargo xtask build-ebpf`")]
    NoProgram(&'static str),
    /// The kernel did not take a program.
    #[error(
        "failed to load program {name}: the kernel's verifier or a missing helper refused it (Linux 6.1 or newer is needed)"
    )]
    LoadProgram {
        /// Program.
        name: &'static str,
        /// Why not.
        source: Box<aya::programs::ProgramError>,
    },
    /// The interface's driver, or the kernel, has no such hook.
    #[error("{iface} has no {how} hook for {name}: choose another with --attach (auto, generic or tc)")]
    NoHook {
        /// Program.
        name: &'static str,
        /// Interface.
        iface: String,
        /// `native`, `generic`, `tcx` or `clsact`.
        how: &'static str,
    },
    /// A program could not be attached.
    #[error("failed to attach {name} to {iface} ({how})")]
    Attach {
        /// Program.
        name: &'static str,
        /// Interface.
        iface: String,
        /// `native`, `generic`, `tcx` or `clsact`.
        how: &'static str,
        /// Why not.
        source: Box<aya::programs::ProgramError>,
    },
    /// Another program holds the place.
    #[error(
        "{iface} already has XDP program {name:?} (id {id}), which is not ours: detach it, or start with --attach tc"
    )]
    ForeignXdp {
        /// Interface.
        iface: String,
        /// Its name.
        name: String,
        /// Its id.
        id: u32,
    },
    /// clsact could not be set up or taken away.
    #[error("failed to {what} the clsact qdisc of {iface}")]
    Clsact {
        /// What was tried.
        what: &'static str,
        /// Interface.
        iface: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The program that tells which SA the kernel got last did not.
    #[error("failed to ask the kernel for its newest SA")]
    Newest(#[source] std::io::Error),
    /// The program that tells the time did not.
    #[error("failed to ask the kernel for its count of jiffies")]
    Clock(#[source] std::io::Error),
    /// The table of interfaces is full.
    #[error("no room for interface {0}: one agent has at most {max}", max = esp_common::names::IFACES)]
    TooManyIfaces(String),
    /// A link could not be kept.
    #[error(
        "failed to keep the link of {name} on {iface}: the kernel gave none that can be pinned (Linux 5.9 or newer is needed)"
    )]
    Link {
        /// Program.
        name: &'static str,
        /// Interface.
        iface: String,
        /// Why not.
        source: Box<aya::programs::links::LinkError>,
    },
}

impl DatapathError {
    /// True when the kernel lacks something that no setting brings.
    #[must_use]
    pub fn lacks(&self) -> bool {
        matches!(
            self,
            Self::NoBpffs(_)
                | Self::Load(_)
                | Self::LoadProgram { .. }
                | Self::NoHook { .. }
                | Self::Link { .. }
        )
    }
}
