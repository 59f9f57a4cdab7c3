//! The cost by number of SAs, each packet with another SPI; beside the usual design, and yardsticks where there are some.

use super::{
    XDP_DROP, XDP_PASS,
    cost::{Cost, Sampling},
    path::{self, FIRST_SPI, SPI_V4},
    ratio::{Ratio, Target},
    table,
    usual::Usual,
    vary::{Spis, Varied},
    yardstick::{Yard, Yardsticks},
};
use crate::kernel::{Constants, Kernel};
use anyhow::{Context as _, Result, ensure};
use esp_agent::config::Sizes;
use esp_common::{Action, Hook, Reason, names};
use serde_json::{Value, json};
use std::fmt;

/// Numbers of SAs.
pub const SAS: [u32; 4] = [1, 1 << 10, 1 << 16, 1 << 20];
/// SPIs that no SA has: so many that each packet is another flow.
const UNKNOWN: Spis = Spis { base: 0x8000_0000, count: 1 << 20 };

/// One row.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// The packets have an SA.
    pub known: bool,
    /// SAs in the table.
    pub sas: u32,
    /// ns, the empty program's taken off.
    pub net: Cost,
    /// What the usual design took, and ours divided by it, of the same round.
    pub usual: (Cost, Ratio),
    /// The same of each yardstick.
    pub beside: Vec<(Yard, Cost, Ratio)>,
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
        let usual = Usual::load(*sas).context("the usual design")?;
        for known in [true, false] {
            let row = row((&kernel, &usual), known, *sas, sampling, cpu, yards);
            rows.push(row.with_context(|| format!("{sas} SAs, known {known}"))?);
        }
    }
    Ok(rows)
}

fn row(
    (kernel, usual): (&Kernel, &Usual),
    known: bool,
    sas: u32,
    sampling: Sampling,
    cpu: usize,
    yards: Option<&Yardsticks>,
) -> Result<Scaled> {
    let (spis, verdict) =
        if known { (Spis { base: FIRST_SPI, count: sas }, XDP_PASS) } else { (UNKNOWN, XDP_DROP) };
    let frame = path::esp();
    let ours = Varied::new(kernel.xdp(names::PROG_XDP)?, spis, SPI_V4)?;
    let empty = Varied::new(kernel.xdp(names::PROG_EMPTY)?, spis, SPI_V4)?;
    let theirs = Varied::new(usual.program()?, spis, SPI_V4)?;
    let counted = || {
        let (reason, action) =
            if known { (Reason::EspKnown, Action::Pass) } else { (Reason::UnknownSpi, Action::Drop) };
        kernel.reason(Hook::Xdp, reason, action).map(|counter| counter.packets)
    };
    let before = counted()?;
    ours.run(&frame, sampling.repeat, verdict)?;
    theirs.run(&frame, sampling.repeat, verdict)?;
    let (mut nets, mut usuals) = (Vec::new(), Vec::new());
    let mut beside = vec![Vec::new(); if yards.is_some() { Yard::FULL_PATHS.len() } else { 0 }];
    for _ in 0..sampling.rounds {
        let without = empty.run(&frame, sampling.repeat, XDP_PASS)?;
        let net = ours.run(&frame, sampling.repeat, verdict)? - without;
        nets.push(net);
        usuals.push(theirs.run(&frame, sampling.repeat, verdict)? - without);
        for (yard, costs) in Yard::FULL_PATHS.into_iter().zip(&mut beside) {
            let Some(yards) = yards else { continue };
            costs.push(yards.net(yard, sas, (spis.base, spis.count, verdict), cpu, sampling.repeat)?);
        }
    }
    let sent = sampling.packets();
    ensure!(counted()? - before == sent, "{} packets were counted, {sent} were run", counted()? - before);
    let [with, without] = usual.counted()?;
    let theirs = if known { with } else { without };
    ensure!(theirs == sent, "the usual design counted {theirs} packets, {sent} were run");
    let of = |costs: Vec<f64>, yard: Yard| {
        let ratio = Ratio::of(nets.iter().copied().zip(costs.iter().copied()), yard.target(known, sas));
        (Cost::of(costs), ratio)
    };
    // It does what the full yardstick does.
    let usual = of(usuals, Yard::Full);
    let beside = Yard::FULL_PATHS.into_iter().zip(beside).map(|(yard, costs)| {
        let (cost, ratio) = of(costs, yard);
        (yard, cost, ratio)
    });
    let beside = beside.collect();
    Ok(Scaled { known, sas, net: Cost::of(nets.clone()), usual, beside })
}

impl Scaled {
    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let beside = self.beside.iter().map(|(yard, cost, ratio)| {
            json!({
                "yardstick": yard.name(),
                "net_ns": cost.json(),
                "ratio": ratio.value.json(),
                "target": ratio.target.map(Target::value),
            })
        });
        let (usual, ratio) = &self.usual;
        json!({
            "known": self.known,
            "sas": self.sas,
            "net_ns": self.net.json(),
            "usual_ns": usual.json(),
            "usual": ratio.json(),
            "yardsticks": beside.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { known, sas, net, usual: (usual, ratio), beside } = self;
        let kind = if *known { "known" } else { "unknown" };
        let range = format!("{:.1} to {:.1}", net.min, net.max);
        write!(f, "{kind:<9}{sas:>8}{:>9.1}  {range:>18}  usual {:.1}: {ratio}", net.median, usual.median)?;
        for (yard, cost, ratio) in beside {
            write!(f, "  {} {:.1}: {ratio}", yard.name(), cost.median)?;
        }
        writeln!(f)
    }
}
