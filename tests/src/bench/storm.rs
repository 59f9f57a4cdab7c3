//! What a packet with an SA costs between the bursts of a flood of random SPIs, beside the same without one.
//!
//! Two datapaths with 1,024 SAs each. One gets bursts of packets that no SA has, each with an SPI that was never there before: all
//! guards enforce, the kernel is asked for each. Between them come packets with an SA, and those alone are timed. The
//! other one gets as many bursts of the same packets at an empty program, so that both come from a cache that others
//! have used.

use super::{
    cost::Sampling,
    figure::Figure,
    ratio::Target,
    stand::Stand,
    vary::{Spis, Varied},
};
use anyhow::{Result, ensure};
use esp_common::{Action, Hook, Reason, names};

const SAS: u32 = 1 << 10;
/// More than a run has.
const RANDOM: Spis = Spis { base: 0x8000_0000, count: 1 << 26 };
/// Packets of a burst for each packet with an SA: more than ten millions in nine rounds of 200,000.
const PART: u32 = 3;
/// Times of a round that packets with an SA come, a burst before each, and one before as many for the empty program.
const TIMES: u32 = 20;
const TARGET: Target = Target::AtMost(1.1);

/// Measures it on the CPU that the thread is pinned to.
///
/// # Errors
/// The kernel's; a packet was judged otherwise than it should be.
pub fn run(sampling: Sampling) -> Result<Figure> {
    let (flooded, quiet) = (Stand::new(SAS, 0)?, Stand::new(SAS, 0)?);
    let (flood, idle) = (flooded.flood(names::PROG_XDP, RANDOM)?, quiet.flood(names::PROG_EMPTY, RANDOM)?);
    let (mut after, mut before) = (Vec::new(), Vec::new());
    let each = (sampling.repeat / TIMES).max(1);
    for round in 0..=sampling.rounds {
        let between = bursts(&flooded, &flood, each, true)?;
        let alone = bursts(&quiet, &idle, each, false)?;
        // The first round warms up.
        if round > 0 {
            after.push(between);
            before.push(alone);
        }
    }
    let sent = u64::from(sampling.rounds + 1) * u64::from(2 * TIMES * each * PART);
    let dropped = flooded.kernel.reason(Hook::Xdp, Reason::UnknownSpi, Action::Drop)?.packets;
    ensure!(dropped == sent, "{dropped} packets were dropped, {sent} were run");
    let what = format!("known, flood of {:.1} million SPIs", sent as f64 / 1e6);
    Ok(Figure::beside(what, &after, ("no flood", &before), Some(TARGET)))
}

/// Net ns of a packet with an SA, over all bursts.
fn bursts(stand: &Stand, flood: &Varied, each: u32, dropped: bool) -> Result<f64> {
    let mut net = 0.0;
    for _ in 0..TIMES {
        stand.pour(flood, each * PART, dropped)?;
        net += stand.known(each)?;
        stand.pour(flood, each * PART, dropped)?;
        net -= stand.empty(each)?;
    }
    Ok(net / f64::from(TIMES))
}
