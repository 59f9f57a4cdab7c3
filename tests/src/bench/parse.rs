//! Our parser and nothing else, beside a parser in C where there is one.

use super::{
    XDP_PASS,
    cost::Sampling,
    figure::Figure,
    least::{self, Least},
    path::{self, FIRST_SPI, SPI_V4},
    ratio::Target,
    vary::{Spis, Varied},
    yardstick::{Yard, Yardsticks},
};
use anyhow::Result;

const SPIS: Spis = Spis { base: FIRST_SPI, count: 1 << 10 };
/// As many packets as others, this many times: it is a few ns.
const TIMES: u32 = 5;
const TARGET: Target = Target::AtMost(1.1);

/// Measures it on `cpu`, which this thread is pinned to.
///
/// # Errors
/// The kernel does not take the program, or the yardstick does not run.
pub fn run(sampling: Sampling, cpu: usize, yards: Option<&Yardsticks>) -> Result<Figure> {
    let least = Least::load()?;
    let [parse, empty] = [least::PARSE, least::PASS];
    let (parse, empty) = (least.program(parse)?, least.program(empty)?);
    let (parse, empty) = (Varied::new(parse, SPIS, SPI_V4)?, Varied::new(empty, SPIS, SPI_V4)?);
    let (frame, packets) = (path::esp(), sampling.repeat * TIMES);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=sampling.rounds {
        let without = empty.run(&frame, packets, XDP_PASS)?;
        let net = parse.run(&frame, packets, XDP_PASS)? - without;
        // The first round warms up.
        if round == 0 {
            continue;
        }
        ours.push(net);
        if let Some(yards) = yards {
            theirs.push(yards.net(
                Yard::Parse,
                1,
                (SPIS.base, SPIS.count, XDP_PASS),
                cpu,
                sampling.repeat,
            )?);
        }
    }
    let what = "parse only";
    Ok(match yards {
        Some(_) => Figure::beside(what, &ours, (Yard::Parse.name(), &theirs), Some(TARGET)),
        None => Figure::alone(what, "ns", &ours, None),
    })
}
