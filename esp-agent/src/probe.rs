//! What this process may do and this kernel can do, asked before anything is changed.

use crate::datapath::object;
use crate::failure::Failure;
use crate::procfs::{Proc, ProcFs as _};

/// Capabilities that `run` needs, with their bit (include/uapi/linux/capability.h).
const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
/// Stands for all of them on older tools.
const SYS_ADMIN: u32 = 21;

/// Checks the capabilities of this process.
///
/// # Errors
/// [`Failure::NotPermitted`] with those that are missing.
pub fn permitted() -> Result<(), Failure> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing(effective(&status));
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::NotPermitted(format!(
        "not permitted: {} missing; run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN CAP_BPF CAP_PERFMON",
        missing.join(", ")
    )))
}

/// What this kernel lacks and the agent can do without, one sentence each.
#[must_use]
pub fn lacks() -> Vec<String> {
    let mut lacks = Vec::new();
    if let Err(error) = Proc.xfrm_stat() {
        lacks.push(format!("{error}; the mirror of xfrm_stat stays empty"));
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        lacks.push(
            "no BTF: the kernel is built without CONFIG_DEBUG_INFO_BTF; maps and programs carry no types"
                .into(),
        );
    }
    if matches!(object::asks_kernel(), Ok(false)) {
        lacks.push(
            "no bpf_xdp_get_xfrm_state (Linux 6.8): ESP of a new SA is unknown_spi until its event was read"
                .into(),
        );
    }
    lacks
}

/// The effective set; without a readable status it is taken as empty.
fn effective(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective & (1 << bit) != 0;
    let granted = |name: &str, bit| has(bit) || (has(SYS_ADMIN) && name != "CAP_NET_ADMIN");
    let needed = NEEDED.iter().filter(|(name, bit)| !granted(name, *bit));
    needed.map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        let all = effective("Name:\tx\nCapEff:\t000001ffffffffff\n");
        assert!(missing(all).is_empty());
        assert_eq!(
            missing(effective("CapEff:\t0000000000000000\n")),
            ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]
        );
        assert_eq!(missing(1 << 12), ["CAP_PERFMON", "CAP_BPF"]);
        assert_eq!(missing(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
    }
}
