//! From end to end on a cable (veth): what each means takes of a CPU that receives ESP which no SA has, and what counting and
//! passing ESP of SAs takes.
//!
//! Each means has a cable, two namespaces and maps of its own for the whole run; in each round all of them have a turn, every
//! second round the other way round. Sender and receiver share one CPU. The receiver is a thread of the kernel (threaded
//! NAPI) that goes before the sender: after each batch of 64 frames it runs until none is left. Its CPU time has
//! all that the receiver does, up the stack to the drop, and nothing of the sender.

mod filter;
mod judge;
mod lane;
mod means;
mod napi;
mod shown;
mod turns;

use super::{
    cost::{Cost, Sampling},
    path::FIRST_SPI,
    ratio::{Ratio, Target},
    vary::Spis,
};
use anyhow::{Context as _, Result, ensure};
use means::FEW;
pub use means::Means;
use turns::Turns;

/// SPIs that no SA has: so many that each packet is another flow.
const UNKNOWN: Spis = Spis { base: 0x8000_0000, count: 1 << 20 };
const KNOWN: Spis = Spis { base: FIRST_SPI, count: FEW };
/// Packets of a run at most.
const PACKETS: u32 = 100_000;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Cabled {
    /// One for each means.
    pub drops: Vec<Drop>,
    /// ns of a packet that ours passes to the stack; an empty program's; the ratio.
    pub pass: (Cost, Cost, Ratio),
}

/// What a means takes to drop.
#[derive(Clone, Debug)]
pub struct Drop {
    /// Who.
    pub means: Means,
    /// Why it could not be measured, or what was.
    pub taken: Result<Taken, String>,
}

/// As above.
#[derive(Clone, Debug)]
pub struct Taken {
    /// ns of CPU time of the receiver for one packet.
    pub cpu: Cost,
    /// Packets for each second of a CPU that does nothing but send and receive them.
    pub pps: Cost,
    /// By what it is measured, and how many times as much it takes.
    pub beside: Option<(Means, Ratio)>,
}

/// Measures it on a CPU.
///
/// # Errors
/// The kernel refuses a program of ours, or a means did not do with the packets what it is there for.
pub fn run(sampling: Sampling, cpu: usize) -> Result<Cabled> {
    Ok(Cabled { drops: drops(sampling, cpu)?, pass: pass(sampling, cpu)? })
}

fn drops(sampling: Sampling, cpu: usize) -> Result<Vec<Drop>> {
    let lanes = Means::ALL.map(|means| match Turns::new(means, UNKNOWN, cpu) {
        // Filters are not ours: a machine may have none.
        Err(error) if means.is_foreign() => Ok((means, Err(format!("{error:#}")))),
        made => Ok((means, Ok(made.with_context(|| means.to_string())?))),
    });
    let mut lanes = lanes.into_iter().collect::<Result<Vec<_>>>()?;
    in_turn(lanes.iter_mut().filter_map(|(_, turns)| turns.as_mut().ok()).collect(), sampling)?;
    let of = |wanted| lanes.iter().find(|(means, _)| *means == wanted)?.1.as_ref().ok();
    let taken = |means: Means, turns: &Turns| -> Result<Taken> {
        turns.check().with_context(|| means.to_string())?;
        let beside = means.beside().and_then(|(other, target)| {
            Some((other, Ratio::of(turns.cpu().zip(of(other)?.cpu()), Some(target))))
        });
        Ok(Taken { cpu: Cost::of(turns.cpu().collect()), pps: turns.pps(), beside })
    };
    let rows = lanes.iter().map(|(means, turns)| match turns {
        Ok(turns) => Ok(Drop { means: *means, taken: Ok(taken(*means, turns)?) }),
        Err(why) => Ok(Drop { means: *means, taken: Err(why.clone()) }),
    });
    rows.collect()
}

fn pass(sampling: Sampling, cpu: usize) -> Result<(Cost, Cost, Ratio)> {
    let mut ours = Turns::new(Means::Native(FEW), KNOWN, cpu)?;
    let mut empty = Turns::new(Means::Pass, KNOWN, cpu)?;
    in_turn(vec![&mut ours, &mut empty], sampling)?;
    let dropped = ours.lane.dropped()?;
    ensure!(dropped == Some(0), "of packets with an SA {dropped:?} were dropped");
    let ratio = Ratio::of(ours.cpu().zip(empty.cpu()), Some(Target::Near(1.05)));
    Ok((Cost::of(ours.cpu().collect()), Cost::of(empty.cpu().collect()), ratio))
}

/// All rounds, and one in front of them for warmth alone.
fn in_turn(mut all: Vec<&mut Turns>, sampling: Sampling) -> Result<()> {
    let packets = sampling.repeat.min(PACKETS);
    for _ in 0..=sampling.rounds {
        all.iter_mut().try_for_each(|turns| turns.turn(packets))?;
        all.reverse();
    }
    Ok(())
}
