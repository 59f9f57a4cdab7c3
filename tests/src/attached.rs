//! What BPF an interface and a namespace carry, told by the kernel rather than by the agent.

use crate::netns::Netns;
use anyhow::{Context, Result};
use aya::programs::{ProgramError, SchedClassifier, tc::TcAttachType};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The programs on an interface, by hook: XDP, TCX and filters of clsact.
///
/// # Errors
/// When the interface is gone or the kernel does not answer.
pub fn programs(netns: &Netns, iface: &str) -> Result<Vec<String>> {
    let mut all = Vec::new();
    if netns.ip(&format!("-d link show dev {iface}"))?.contains("prog/xdp") {
        all.push("xdp".to_owned());
    }
    for (name, hook) in [("ingress", TcAttachType::Ingress), ("egress", TcAttachType::Egress)] {
        all.extend(tcx(netns, iface, hook)?.into_iter().map(|program| format!("tcx {name} {program}")));
        all.extend(clsact(netns, iface, name)?.into_iter().map(|program| format!("clsact {name} {program}")));
    }
    Ok(all)
}

fn tcx(netns: &Netns, iface: &str, hook: TcAttachType) -> Result<Vec<String>> {
    netns.run_in(|| match SchedClassifier::query_tcx(iface, hook) {
        Ok((_, programs)) => {
            Ok(programs.iter().map(|info| info.name_as_str().unwrap_or("?").to_owned()).collect())
        }
        // BPF_PROG_QUERY of a hook that the kernel does not know: TCX came with Linux 6.6.
        Err(ProgramError::SyscallError(error)) if error.io_error.kind() == ErrorKind::InvalidInput => {
            Ok(Vec::new())
        }
        Err(error) => Err(error).with_context(|| format!("failed to ask for TCX programs on {iface}")),
    })
}

/// `filter protocol all pref 50 bpf chain 0 handle 0x1 NAME direct-action ...`
fn clsact(netns: &Netns, iface: &str, hook: &str) -> Result<Vec<String>> {
    let mut tc = netns.command("tc");
    let filters = crate::run::text(tc.args(["filter", "show", "dev", iface, hook]))?;
    let program = |line: &str| {
        let (_, after) = line.split_once(" bpf ")?.1.split_once(" handle ")?;
        after.split_whitespace().nth(1).map(str::to_owned)
    };
    Ok(filters.lines().filter_map(program).collect())
}

/// The files below the agent's usual place on the namespace's BPF file system.
///
/// # Errors
/// When a directory cannot be read.
pub fn pins(netns: &Netns) -> Result<Vec<PathBuf>> {
    netns.run_in(|| {
        let mut all = Vec::new();
        walk(Path::new("/sys/fs/bpf/esp-agent"), &mut all)?;
        Ok(all)
    })
}

fn walk(dir: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", dir.display())),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), all)?;
        } else {
            all.push(entry.path());
        }
    }
    Ok(())
}
