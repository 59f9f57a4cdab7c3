//! What the running agent may still do, and what it may not.

use anyhow::{Context, Result};
use esp_tests::site::Site;
use std::{collections::BTreeMap, fs};

/// `CAP_NET_ADMIN`, `CAP_PERFMON`, `CAP_BPF` (include/uapi/linux/capability.h).
const KEPT: u64 = 1 << 12 | 1 << 38 | 1 << 39;

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn a_running_agent_keeps_three_capabilities_on_every_thread() -> Result<()> {
    let site = Site::new()?;
    let agent = site.agent()?.start()?;
    let mut threads = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", agent.pid()))? {
        let status = status(&thread?.path().join("status"))?;
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            let bits = u64::from_str_radix(status.get(set).context(set)?, 16)?;
            assert_eq!(bits, KEPT, "{set} of {}", status["Name"]);
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(u64::from_str_radix(status.get(set).context(set)?, 16)?, 0, "{set}");
        }
        assert_eq!(status["NoNewPrivs"], "1");
        threads += 1;
    }
    assert!(threads > 2, "{threads} threads are fewer than an agent has");
    Ok(())
}

#[test]
#[ignore = "T3: root, namespaces, bpf"]
fn its_memory_goes_to_no_disk() -> Result<()> {
    let site = Site::new()?;
    let agent = site.agent()?.start()?;
    let process = format!("/proc/{}", agent.pid());
    let limits = fs::read_to_string(format!("{process}/limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).context("no core limit")?;
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    let status = status(format!("{process}/status").as_ref())?;
    let kib = |field: &str| -> Result<u64> {
        Ok(status.get(field).context("no such field")?.trim_end_matches(" kB").trim().parse()?)
    };
    // Where the limit on locked memory cannot be raised, that is said.
    let locked = kib("VmLck")? >= kib("VmRSS")? / 2;
    let said = agent.status_json()?.to_string().contains("may be swapped out");
    assert!(locked != said, "{} of {} are locked, said: {said}", status["VmLck"], status["VmRSS"]);
    Ok(())
}

fn status(path: &std::path::Path) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path)?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    Ok(fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}
