//! ESP of an SA in its forms, each beside plain IPv4 of the same round. Every packet has the next sequence number.

use super::{
    XDP_PASS,
    cost::Sampling,
    figure::Figure,
    path::{self, Path},
    ratio::Target,
    table,
    vary::Varied,
};
use crate::kernel::{Constants, Kernel};
use anyhow::{Context as _, Result, ensure};
use esp_common::{Action, FlowKey, Hook, Reason, SaEntry, Spi, names};

/// Of the cost beside that of plain IPv4.
const TARGET: Target = Target::AtMost(1.2);

/// Measures them on the CPU that the thread is pinned to.
///
/// # Errors
/// The kernel's; a packet was not found to have an SA.
pub fn run(sampling: Sampling) -> Result<Vec<Figure>> {
    let mut kernel = Kernel::load(Constants::default())?;
    table::arm(&mut kernel)?;
    let paths: Vec<_> =
        path::all().into_iter().filter(|path| path.reason == Reason::EspKnown && path.sas == 1).collect();
    for path in &paths {
        let key = FlowKey::new(path.dst.into(), Spi::new(path.first));
        kernel.set_sa(&key, &SaEntry { tunnel: 1, flags: 0 })?;
    }
    let mut kinds = paths.iter().map(|path| Kind::new(&kernel, path)).collect::<Result<Vec<_>>>()?;
    for round in 0..=sampling.rounds {
        for kind in &mut kinds {
            kind.turn(round, sampling.repeat)?;
        }
    }
    let counted = kernel.reason(Hook::Xdp, Reason::EspKnown, Action::Pass)?.packets;
    let sent = sampling.packets() * kinds.len() as u64;
    ensure!(counted == sent, "{counted} packets were counted, {sent} were run");
    let (plain, others) = kinds.split_first().context("no path with an SA")?;
    let figure = |kind: &Kind| {
        Figure::beside(kind.path.name, &kind.nets, (plain.path.name, &plain.nets), Some(TARGET))
    };
    Ok(others.iter().map(figure).collect())
}

struct Kind<'a> {
    path: &'a Path,
    ours: Varied,
    empty: Varied,
    nets: Vec<f64>,
}

impl<'a> Kind<'a> {
    fn new(kernel: &Kernel, path: &'a Path) -> Result<Self> {
        let driver = |program| Varied::of_path(kernel.xdp(program)?, path);
        let (ours, empty) = (driver(names::PROG_XDP)?, driver(names::PROG_EMPTY)?);
        Ok(Self { path, ours, empty, nets: Vec::new() })
    }

    /// The first round warms up.
    fn turn(&mut self, round: u32, repeat: u32) -> Result<()> {
        let without = self.empty.run(&self.path.frame, repeat, XDP_PASS)?;
        let net = self.ours.run(&self.path.frame, repeat, XDP_PASS)? - without;
        if round > 0 {
            self.nets.push(net);
        }
        Ok(())
    }
}
