//! The rows, for people and for programs.

use super::{Cabled, Drop, Taken};
use serde_json::{Value, json};
use std::fmt;

impl Cabled {
    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let drops = self.drops.iter().map(|Drop { means, taken }| match taken {
            Err(why) => json!({ "means": means.to_string(), "cannot_run": why }),
            Ok(Taken { cpu, pps, beside }) => json!({
                "means": means.to_string(),
                "cpu_ns": cpu.json(),
                "pps": pps.json(),
                "beside": beside.as_ref().map(|(other, _)| other.to_string()),
                "of": beside.as_ref().map(|(_, ratio)| ratio.json()),
            }),
        });
        let (ours, empty, ratio) = &self.pass;
        let pass = json!({ "ours_ns": ours.json(), "empty_ns": empty.json(), "of": ratio.json() });
        json!({ "drop": drops.collect::<Vec<_>>(), "pass": pass })
    }
}

impl fmt::Display for Cabled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "by cable (veth), unknown SPIs dropped: CPU ns of the receiver for a packet; packets for each second of a CPU that sends and receives them"
        )?;
        for Drop { means, taken } in &self.drops {
            match taken {
                Err(why) => writeln!(f, "{means:<32}cannot run: {}", why.lines().next().unwrap_or_default())?,
                Ok(Taken { cpu, pps, beside }) => {
                    let range = format!("({:.0} to {:.0})", cpu.min, cpu.max);
                    write!(
                        f,
                        "{means:<32}{:>6.0} ns {range:<17}{:>6.0}k/s",
                        cpu.median,
                        pps.median / 1_000.0
                    )?;
                    match beside {
                        Some((other, ratio)) => writeln!(f, "  beside {other}: {ratio}")?,
                        None => writeln!(f)?,
                    }
                }
            }
        }
        let (ours, empty, ratio) = &self.pass;
        writeln!(
            f,
            "count and pass to the stack: {:.0} ns beside {:.0} of an empty program: {ratio}",
            ours.median, empty.median
        )
    }
}
