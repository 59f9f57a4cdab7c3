//! A ratio beside what it should be.

use super::{cost::Cost, report::met};
use serde_json::{Value, json};
use std::fmt;

/// What a ratio should be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    /// No more.
    AtMost(f64),
    /// The same, and said to be not resolved where the rounds differ by more than what there is to be seen.
    Near(f64),
    /// No less.
    AtLeast(f64),
}

/// A ratio of paired rounds.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// Over all rounds.
    pub value: Cost,
    /// Where one was set.
    pub target: Option<Target>,
}

impl Ratio {
    /// Of each round's first by its second.
    #[must_use]
    pub fn of(pairs: impl IntoIterator<Item = (f64, f64)>, target: Option<Target>) -> Self {
        Self { value: Cost::of(pairs.into_iter().map(|(ours, theirs)| ours / theirs).collect()), target }
    }

    /// As JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let target = self.target.map(Target::value);
        json!({ "ratio": self.value.json(), "target": target, "verdict": self.verdict() })
    }

    fn verdict(&self) -> Option<&'static str> {
        self.target.map(|target| target.verdict(&self.value))
    }
}

impl Target {
    /// The ratio itself.
    #[must_use]
    pub const fn value(self) -> f64 {
        match self {
            Self::AtMost(value) | Self::Near(value) | Self::AtLeast(value) => value,
        }
    }

    fn verdict(self, ratio: &Cost) -> &'static str {
        match self {
            Self::Near(most)
                if ratio.min <= most && most <= ratio.max && ratio.max - ratio.min > most - 1.0 =>
            {
                "not resolved"
            }
            Self::AtMost(most) | Self::Near(most) => met(ratio.median <= most),
            Self::AtLeast(least) => met(ratio.median >= least),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { median, min, max } = self.value;
        write!(f, "{median:.2} ({min:.2} to {max:.2})")?;
        match self.target.zip(self.verdict()) {
            Some((target, verdict)) => write!(f, ", {} {verdict}", target.value()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: [f64; 3], target: Target) -> String {
        Ratio::of(values.map(|value| (value, 1.0)), Some(target)).to_string()
    }

    #[test]
    fn a_ratio_says_whether_it_is_what_it_should_be() {
        assert_eq!(of([2.0, 1.0, 1.5], Target::AtMost(1.5)), "1.50 (1.00 to 2.00), 1.5 met");
        assert_eq!(of([2.0, 1.0, 1.6], Target::AtMost(1.5)), "1.60 (1.00 to 2.00), 1.5 missed");
        assert_eq!(of([2.0, 3.0, 2.5], Target::AtLeast(2.6)), "2.50 (2.00 to 3.00), 2.6 missed");
    }

    #[test]
    fn a_range_wider_than_the_difference_resolves_nothing() {
        assert_eq!(of([0.9, 1.0, 1.2], Target::Near(1.05)), "1.00 (0.90 to 1.20), 1.05 not resolved");
        assert_eq!(of([1.0, 1.0, 1.04], Target::Near(1.05)), "1.00 (1.00 to 1.04), 1.05 met");
        assert_eq!(of([1.1, 1.2, 1.4], Target::Near(1.05)), "1.20 (1.10 to 1.40), 1.05 missed");
    }
}
