//! The figures, for people and for programs.

use super::{
    cable::Cabled,
    cost::{Cost, Paired, Sampling},
    cpu::Machine,
    figure::Figure,
    program::Size,
    rules::{self, Decided},
    scale::Scaled,
    steer::Spread,
    transit::Crossed,
};
use esp_common::{Action, Reason};
use serde_json::{Value, json};
use std::fmt;

/// One path.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub path: &'static str,
    /// SAs in the table.
    pub sas: u32,
    /// The reason that was counted for every packet of it.
    pub reason: Reason,
    /// The verdict on every packet of it.
    pub action: Action,
    /// What it cost.
    pub cost: Paired,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How much.
    pub sampling: Sampling,
    /// One for each path.
    pub rows: Vec<Row>,
    /// One for each number of SAs, with and without an SA behind the packets.
    pub scaled: Vec<Scaled>,
    /// Ratios and limits of their own.
    pub figures: Vec<Figure>,
    /// One for each number of rules.
    pub decided: Vec<Decided>,
    /// Transit at XDP against the kernel's forwarding.
    pub transit: Crossed,
    /// What the receiving CPU takes when another one does the rest.
    pub spread: Spread,
    /// From end to end on a cable.
    pub cabled: Cabled,
    /// One for each program.
    pub programs: Vec<Size>,
}

impl Report {
    /// As JSON. Fields are only ever added.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { machine, sampling, .. } = self;
        json!({
            "kernel": machine.kernel,
            "cpu": machine.cpu,
            "cpu_model": machine.model,
            "rounds": sampling.rounds,
            "repeat": sampling.repeat,
            "paths": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "scale": self.scaled.iter().map(Scaled::json).collect::<Vec<_>>(),
            "figures": self.figures.iter().map(Figure::json).collect::<Vec<_>>(),
            "rules": rules::json(&self.decided),
            "transit": self.transit.json(),
            "steer": {
                "here_pps": self.spread.here.json(),
                "rps_pps": self.spread.rps.json(),
                "steered_pps": self.spread.steered.json(),
                "ratio_here": self.spread.of_here.json(),
                "ratio_rps": self.spread.of_rps.json(),
                "arriving": self.spread.arriving.json(),
                "targets": Spread::TARGETS,
            },
            "cable": self.cabled.json(),
            "programs": self.programs.iter().map(Size::json).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "path": self.path,
            "sas": self.sas,
            "reason": self.reason.label(),
            "action": self.action.label(),
            "net_ns": self.cost.net.json(),
            "raw_ns": self.cost.raw.json(),
            "empty_ns": self.cost.empty.json(),
        })
    }
}

impl Cost {
    pub(super) fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl Size {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "verified_instructions": self.verified,
            "translated_instructions": self.translated,
            "jited_bytes": self.jited_bytes,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, sampling, .. } = self;
        writeln!(f, "kernel {}, CPU {} ({})", machine.kernel, machine.cpu, machine.model)?;
        writeln!(
            f,
            "ns per packet of thread CPU time, {} rounds of {} packets; net = program - empty program, paired",
            sampling.rounds, sampling.repeat
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<24}{:>6}  {:<14}{:<6}{:>8}  {:>17}{:>8}{:>8}",
            "path", "SAs", "reason", "", "net", "range", "raw", "empty"
        )?;
        for row in &self.rows {
            write!(f, "{row}")?;
        }
        writeln!(f)?;
        writeln!(
            f,
            "each packet another SPI (all SAs, or 2^20 without one); beside it ns: ratio of the same round, target\n\n{:<9}{:>8}{:>9}  {:>18}",
            "SPI", "SAs", "net", "range"
        )?;
        for row in &self.scaled {
            write!(f, "{row}")?;
        }
        writeln!(f)?;
        for figure in &self.figures {
            write!(f, "{figure}")?;
        }
        writeln!(f)?;
        rules::print(&self.decided, f)?;
        writeln!(f)?;
        write!(f, "{}{}", self.transit, self.spread)?;
        writeln!(f)?;
        write!(f, "{}", self.cabled)?;
        writeln!(f)?;
        writeln!(f, "{:<24}{:>10}{:>12}{:>12}", "program", "verified", "translated", "jited bytes")?;
        for Size { name, verified, translated, jited_bytes } in &self.programs {
            writeln!(f, "{name:<24}{verified:>10}{translated:>12}{jited_bytes:>12}")?;
        }
        Ok(())
    }
}

/// Whether a target was.
pub(super) const fn met(is: bool) -> &'static str {
    if is { "met" } else { "missed" }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [here, rps, steered] = [self.here, self.rps, self.steered].map(|cost| cost.median / 1_000.0);
        write!(
            f,
            "steer: the CPU that receives takes {here:.0}k packets/s with the stack on it, {rps:.0}k by RPS, {steered:.0}k steered"
        )?;
        for (ratio, target) in [self.of_here, self.of_rps].into_iter().zip(Self::TARGETS) {
            let met = met(ratio.median >= target);
            write!(f, "; {:.2} ({:.2} to {:.2}), {target} {met}", ratio.median, ratio.min, ratio.max)?;
        }
        writeln!(f, "; {:.0} % arrive", self.arriving.median * 100.0)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, sas, reason, action, cost } = self;
        let range = format!("{:.1} to {:.1}", cost.net.min, cost.net.max);
        let (net, raw, empty) = (cost.net.median, cost.raw.median, cost.empty.median);
        let (reason, action) = (reason.label(), action.label());
        writeln!(
            f,
            "{path:<24}{sas:>6}  {reason:<14}{action:<6}{net:>8.1}  {range:>17}{raw:>8.1}{empty:>8.1}"
        )
    }
}
