//! One figure: what was measured, beside what, and what it should be.

use super::{cost::Cost, ratio::Ratio, report::met};
use serde_json::{Value, json};
use std::fmt;

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// Its unit.
    pub unit: &'static str,
    /// How much.
    pub value: Cost,
    /// The most that is good enough, where that is no ratio.
    pub most: Option<f64>,
    /// What it was measured beside, how much that was, and the ratio of the rounds.
    pub beside: Option<(String, Cost, Ratio)>,
}

impl Figure {
    /// ns beside ns, of the same rounds.
    #[must_use]
    pub fn beside(
        what: impl Into<String>,
        ours: &[f64],
        (other, theirs): (impl Into<String>, &[f64]),
        target: Option<super::ratio::Target>,
    ) -> Self {
        let ratio = Ratio::of(ours.iter().copied().zip(theirs.iter().copied()), target);
        let beside = (other.into(), Cost::of(theirs.to_vec()), ratio);
        Self { beside: Some(beside), ..Self::alone(what, "ns", ours, None) }
    }

    /// By itself.
    #[must_use]
    pub fn alone(what: impl Into<String>, unit: &'static str, values: &[f64], most: Option<f64>) -> Self {
        Self { what: what.into(), unit, value: Cost::of(values.to_vec()), most, beside: None }
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let Self { what, unit, value, most, beside } = self;
        let verdict = most.map(|most| met(value.median <= most));
        let beside = beside
            .as_ref()
            .map(|(other, cost, ratio)| json!({ "what": other, "value": cost.json(), "of": ratio.json() }));
        json!({ "what": what, "unit": unit, "value": value.json(), "most": most, "verdict": verdict, "beside": beside })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, value: Cost { median, min, max }, most, beside } = self;
        write!(f, "{what:<36}{median:>8.1} {unit} ({min:.1} to {max:.1})")?;
        if let Some(most) = most {
            write!(f, ", {most} {}", met(*median <= *most))?;
        }
        if let Some((other, cost, ratio)) = beside {
            write!(f, "  beside {other}, {:.1}: {ratio}", cost.median)?;
        }
        writeln!(f)
    }
}
