//! The cost by number of SAs, each packet with another SPI; beside the yardsticks where there are some.

use super::{
    cost::{Cost, Sampling},
    path::{self, FIRST_SPI},
    report::met,
    table,
    vary::{Spis, Varied},
    yardstick::{Yard, Yardsticks},
};
use crate::kernel::{Constants, Kernel};
use anyhow::{Context as _, Result, ensure};
use esp_agent::config::Sizes;
use esp_common::{Action, Hook, Reason, names};
use std::fmt;

/// Numbers of SAs.
pub const SAS: [u32; 4] = [1, 1 << 10, 1 << 16, 1 << 20];
/// SPIs that no SA has: so many that each packet is another flow.
const UNKNOWN: Spis = Spis { base: 0x8000_0000, count: 1 << 20 };
/// Where the SPI is: behind Ethernet and IPv4.
const OFFSET: u32 = 34;
/// `enum xdp_action`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// One row.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// The packets have an SA.
    pub known: bool,
    /// SAs in the table.
    pub sas: u32,
    /// ns, the empty program's taken off.
    pub net: Cost,
    /// What each yardstick needed, and ours divided by it, of the same round.
    pub beside: Vec<(Yard, Cost, Cost)>,
}

/// Measures all rows on `cpu`, which this thread is pinned to.
///
/// # Errors
/// The kernel's; a packet that was judged otherwise than it should be.
pub fn run(sampling: Sampling, cpu: usize, yards: Option<&Yardsticks>, sas: &[u32]) -> Result<Vec<Scaled>> {
    let mut rows = Vec::new();
    for sas in sas {
        // The smallest table that a configuration may ask for has 16.
        let sizes = Sizes { sas: (*sas).max(16), ..Sizes::default() };
        let mut kernel = Kernel::sized(Constants::default(), &sizes)?;
        table::arm(&mut kernel)?;
        table::sas(&mut kernel, *sas)?;
        for known in [true, false] {
            let row = row(&kernel, known, *sas, sampling, cpu, yards);
            rows.push(row.with_context(|| format!("{sas} SAs, known {known}"))?);
        }
    }
    Ok(rows)
}

fn row(
    kernel: &Kernel,
    known: bool,
    sas: u32,
    sampling: Sampling,
    cpu: usize,
    yards: Option<&Yardsticks>,
) -> Result<Scaled> {
    let (spis, verdict) =
        if known { (Spis { base: FIRST_SPI, count: sas }, XDP_PASS) } else { (UNKNOWN, XDP_DROP) };
    let frame = path::esp();
    let ours = Varied::new(kernel, names::PROG_XDP, spis, OFFSET)?;
    let empty = Varied::new(kernel, names::PROG_EMPTY, spis, OFFSET)?;
    let counted = || {
        let (reason, action) =
            if known { (Reason::EspKnown, Action::Pass) } else { (Reason::UnknownSpi, Action::Drop) };
        kernel.reason(Hook::Xdp, reason, action).map(|counter| counter.packets)
    };
    let before = counted()?;
    ours.run(&frame, sampling.repeat, verdict)?;
    let (mut nets, mut beside) = (Vec::new(), vec![(Vec::new(), Vec::new()); Yard::ALL.len()]);
    for _ in 0..sampling.rounds {
        let without = empty.run(&frame, sampling.repeat, XDP_PASS)?;
        let net = ours.run(&frame, sampling.repeat, verdict)? - without;
        nets.push(net);
        for (yard, (costs, ratios)) in Yard::ALL.into_iter().zip(&mut beside) {
            let Some(yards) = yards else { continue };
            let cost = yards.net(yard, sas, (spis.base, spis.count, verdict), cpu, sampling.repeat)?;
            costs.push(cost);
            ratios.push(net / cost);
        }
    }
    let sent = sampling.packets();
    ensure!(counted()? - before == sent, "{} packets were counted, {sent} were run", counted()? - before);
    let beside = Yard::ALL.into_iter().zip(beside).filter(|(_, (costs, _))| !costs.is_empty());
    let beside = beside.map(|(yard, (costs, ratios))| (yard, Cost::of(costs), Cost::of(ratios))).collect();
    Ok(Scaled { known, sas, net: Cost::of(nets), beside })
}

impl Scaled {
    /// The largest ratio that is good enough, where one was set.
    #[must_use]
    pub const fn target(&self, yard: Yard) -> Option<f64> {
        match (yard, self.known, self.sas) {
            (Yard::Best, true, _) => Some(1.15),
            (Yard::Full, true, ..=1_024) => Some(0.5),
            (Yard::Full, true, ..=65_536) => Some(0.25),
            (Yard::Full, true, _) => Some(0.4),
            (_, false, ..=1_023) => None,
            (Yard::Best, false, _) => Some(1.15),
            (Yard::Full, false, ..=1_024) => Some(0.35),
            (Yard::Full, false, ..=65_536) => Some(0.2),
            (Yard::Full, false, _) => Some(0.4),
        }
    }
}

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { known, sas, net, beside } = self;
        let kind = if *known { "known" } else { "unknown" };
        let range = format!("{:.1} to {:.1}", net.min, net.max);
        write!(f, "{kind:<9}{sas:>8}{:>9.1}  {range:>18}", net.median)?;
        for (yard, cost, ratio) in beside {
            write!(
                f,
                "  {} {:.1}: {:.2} ({:.2} to {:.2})",
                yard.name(),
                cost.median,
                ratio.median,
                ratio.min,
                ratio.max
            )?;
            if let Some(target) = self.target(*yard) {
                write!(f, ", {target} {}", met(ratio.median <= target))?;
            }
        }
        writeln!(f)
    }
}
