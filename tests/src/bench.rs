//! What each way through the XDP program costs in the running kernel, by `BPF_PROG_TEST_RUN`.
//!
//! `path -> table -> cost -> report`: a row is one kind of frame, run beside the empty program, and the reason that the
//! datapath counted for it. A row whose packets were not all judged as expected is an error, not a number.
//!
//! One frame is run again and again, with the next sequence number where it has an SA, so its flow is always in the cache. What a large table costs under many flows is in
//! the rows of [`scale`]: there each packet has another SPI.

pub mod cable;
pub mod control;
pub mod cost;
pub mod cpu;
pub mod edits;
pub mod figure;
mod flood;
pub mod growth;
pub mod kinds;
mod least;
mod object;
pub mod parse;
pub mod path;
pub mod program;
pub mod ratio;
pub mod report;
pub mod rules;
pub mod scale;
mod stand;
pub mod steer;
pub mod storm;
mod table;
pub mod transit;
mod usual;
pub mod vary;
pub mod yardstick;

pub use report::Report;

use crate::kernel::{Constants, Kernel};
use anyhow::{Context as _, Result, bail, ensure};
use cost::{Paired, Sampling};
use esp_common::{Action, Counter, Hook, Reason, names};
use path::Path;
use report::Row;
use table::Table;
use vary::Varied;
use yardstick::Yardsticks;

/// `enum xdp_action`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// Measures every path on one CPU.
///
/// # Errors
/// The kernel refuses a program or a CPU, or judges a frame otherwise than its path expects.
pub fn run(
    sampling: Sampling,
    cpu: Option<usize>,
    yards: Option<&Yardsticks>,
    sas: &[u32],
) -> Result<Report> {
    let cpu = cpu::pin(cpu)?;
    let mut kernel = Kernel::load(Constants::default())?;
    table::arm(&mut kernel)?;
    let mut table = Table::default();
    let mut rows = Vec::new();
    for path in path::all() {
        table.fill(&mut kernel, &path)?;
        rows.push(row(&kernel, &path, sampling).with_context(|| format!("path {}", path.name))?);
    }
    let scaled = scale::run(sampling, cpu, yards, sas)?;
    let mut figures = vec![parse::run(sampling, cpu, yards).context("parser")?];
    figures.extend(kinds::run(sampling).context("forms of ESP")?);
    figures.push(growth::run(sampling).context("growth")?);
    figures.push(storm::run(sampling).context("flood")?);
    figures.extend(edits::run(sampling).context("edits")?);
    let decided = rules::run(sampling)?;
    let transit = transit::run(sampling, cpu)?;
    let spread = steer::run(sampling, cpu)?;
    let cabled = cable::run(sampling, cpu)?;
    let programs = program::sizes(&kernel)?;
    Ok(Report {
        machine: cpu::machine(cpu)?,
        sampling,
        rows,
        scaled,
        figures,
        decided,
        transit,
        spread,
        cabled,
        programs,
    })
}

fn row(kernel: &Kernel, path: &Path, sampling: Sampling) -> Result<Row> {
    let before = kernel.reasons()?;
    let cost = if path.reason == Reason::EspKnown {
        let driver = |program| Varied::of_path(kernel.xdp(program)?, path);
        let (empty, ours) = (driver(names::PROG_EMPTY)?, driver(names::PROG_XDP)?);
        let run = |driver: &Varied| driver.run(&path.frame, sampling.repeat, XDP_PASS);
        cost::measure(sampling, || run(&empty), || run(&ours))?
    } else {
        let run = |program| cost::once(kernel, program, &path.frame, sampling.repeat);
        cost::measure(sampling, || run(names::PROG_EMPTY), || run(names::PROG_XDP))?
    };
    let (reason, action, packets) = only(&before, &kernel.reasons()?)?;
    ensure!(
        (reason, action) == (path.reason, path.action),
        "its frames ended in {} ({}) and not in {} ({})",
        reason.label(),
        action.label(),
        path.reason.label(),
        path.action.label()
    );
    let sent = sampling.packets();
    ensure!(packets == sent, "{packets} packets were counted, {sent} were run");
    Ok(row_of(path, cost))
}

fn row_of(path: &Path, cost: Paired) -> Row {
    Row { path: path.name, sas: path.sas, reason: path.reason, action: path.action, cost }
}

type Counted = (Hook, Reason, Action, Counter);

/// The one reason at XDP that grew, and by how many packets.
fn only(before: &[Counted], after: &[Counted]) -> Result<(Reason, Action, u64)> {
    let mut grown = after.iter().filter_map(|(hook, reason, action, counter)| {
        let same = before.iter().find(|(h, r, a, _)| (h, r, a) == (hook, reason, action));
        let old = same.map_or(0, |(.., counter)| counter.packets);
        (counter.packets > old).then(|| (*hook, *reason, *action, counter.packets - old))
    });
    match (grown.next(), grown.next()) {
        (Some((Hook::Xdp, reason, action, packets)), None) => Ok((reason, action, packets)),
        (first, second) => bail!("one reason at XDP should have grown: {first:?}, {second:?}"),
    }
}
