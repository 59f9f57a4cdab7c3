//! What a packet with an SA costs among many SAs, beside what it costs among few, of the same round.

use super::{cost::Sampling, figure::Figure, ratio::Target, stand::Stand};
use anyhow::Result;

const FEW: u32 = 1 << 10;
const MANY: u32 = 1 << 16;
const TARGET: Target = Target::AtMost(4.0);

/// Measures it on the CPU that the thread is pinned to.
///
/// # Errors
/// The kernel's; a packet did not pass.
pub fn run(sampling: Sampling) -> Result<Figure> {
    let stands = [Stand::new(MANY, 0)?, Stand::new(FEW, 0)?];
    let mut nets = [Vec::new(), Vec::new()];
    for round in 0..=sampling.rounds {
        for (stand, nets) in stands.iter().zip(&mut nets) {
            let without = stand.empty(sampling.repeat)?;
            let net = stand.known(sampling.repeat)? - without;
            // The first round warms up.
            if round > 0 {
                nets.push(net);
            }
        }
    }
    let [many, few] = nets;
    Ok(Figure::beside(format!("known, {MANY} SAs"), &many, (format!("{FEW} SAs"), &few), Some(TARGET)))
}
