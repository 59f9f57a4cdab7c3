//! What the agent's own code takes to edit the table of SAs and to read all counters, with 65,536 SAs that all have some.

use super::{
    cost::{Sampling, thread_ns},
    figure::Figure,
    path::{FIRST_SPI, LOCAL_V4},
    stand::Stand,
};
use crate::{kernel::Kernel, netns::Netns};
use anyhow::{Result, ensure};
use esp_agent::datapath::{maps::Maps, pins::Pins, read};
use esp_common::{FlowKey, SaEntry, Spi};
use std::{net::IpAddr, time::Instant};

const SAS: u32 = 1 << 16;
/// SAs that come and go in a round.
const CHANGED: u32 = 1_000;
const EDIT_US: f64 = 50.0;
const READ_MS: f64 = 20.0;

/// Measures it, readings and edits in turn.
///
/// # Errors
/// Not root; the kernel's; a counter is missing.
pub fn run(sampling: Sampling) -> Result<Vec<Figure>> {
    let mut stand = Stand::new(SAS, CHANGED)?;
    stand.known(2 * SAS)?;
    let netns = Netns::new("maps")?;
    let maps = netns.run_in(|| pinned(&stand.kernel))?;
    let [mut added, mut removed, mut reading] = [Vec::new(), Vec::new(), Vec::new()];
    let mut next = FIRST_SPI + SAS;
    for _ in 0..sampling.rounds {
        let keys: Vec<_> = (next..).take(CHANGED as usize).map(key).collect();
        next += CHANGED;
        let entry = SaEntry { tunnel: 1, flags: 0 };
        added.push(each(&keys, |key| stand.kernel.set_sa(key, &entry))?);
        removed.push(each(&keys, |key| stand.kernel.remove_sa(key))?);
        let start = Instant::now();
        let flows = read::flows(&maps)?;
        read::reasons(&maps)?;
        reading.push(start.elapsed().as_secs_f64() * 1_000.0);
        ensure!(flows.len() >= SAS as usize, "{} flows of {SAS} SAs", flows.len());
    }
    Ok(vec![
        Figure::alone(format!("an SA added to {SAS}"), "us", &added, Some(EDIT_US)),
        Figure::alone("an SA removed", "us", &removed, Some(EDIT_US)),
        Figure::alone(format!("all counters of {SAS} SAs"), "ms", &reading, Some(READ_MS)),
    ])
}

fn key(spi: u32) -> FlowKey {
    FlowKey::new(IpAddr::from(LOCAL_V4).into(), Spi::new(spi))
}

/// us of CPU time for one. What it waits for the kernel's grace periods is no work of it.
fn each(keys: &[FlowKey], mut edit: impl FnMut(&FlowKey) -> Result<()>) -> Result<f64> {
    let start = thread_ns()?;
    keys.iter().try_for_each(&mut edit)?;
    Ok((thread_ns()? - start) as f64 / 1_000.0 / keys.len() as f64)
}

/// The maps as the agent opens them.
fn pinned(kernel: &Kernel) -> Result<Maps> {
    let pins = Pins::new("/sys/fs/bpf/bench");
    pins.create()?;
    // Those of constants have a dot in their name, and no pin.
    for (name, map) in kernel.ebpf().maps().filter(|(name, _)| !name.contains('.')) {
        map.pin(pins.map(name))?;
    }
    Ok(Maps::open(&pins)?)
}
