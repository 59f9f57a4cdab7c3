//! The text exposition format of Prometheus, version 0.0.4.
//!
//! Written here because a counter of ours is a `u64` that must come out exact and the crates only know `f64`.

use super::names::Metric;
use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

/// `Content-Type` of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The samples of one family, sorted by their labels. Equal labels add up: a series is printed once.
pub(super) struct Family<V = u64> {
    metric: Metric,
    samples: BTreeMap<Vec<String>, V>,
}

impl Family<u64> {
    /// Adds `value` to the series of `labels`, given in the order of [`Metric::labels`].
    pub(super) fn add<const N: usize>(&mut self, labels: [&str; N], value: u64) {
        let sum = self.series(labels);
        *sum = sum.saturating_add(value);
    }
}

impl Family<f64> {
    /// Sets the series of `labels`, given in the order of [`Metric::labels`].
    pub(super) fn set<const N: usize>(&mut self, labels: [&str; N], value: f64) {
        *self.series(labels) = value;
    }
}

impl<V: Display + Default> Family<V> {
    /// An empty family.
    pub(super) fn new(metric: Metric) -> Self {
        Self { metric, samples: BTreeMap::new() }
    }

    fn series<const N: usize>(&mut self, labels: [&str; N]) -> &mut V {
        debug_assert_eq!(N, self.metric.labels.len(), "{}", self.metric.name);
        self.samples.entry(labels.map(String::from).to_vec()).or_default()
    }

    /// Appends the family; nothing when it has no samples.
    pub(super) fn write(&self, out: &mut String) {
        if self.samples.is_empty() {
            return;
        }
        header(self.metric, out);
        for (values, value) in &self.samples {
            out.push_str(self.metric.name);
            labels(self.metric.labels, values, out);
            writeln!(out, " {value}").expect("writing to a string cannot fail");
        }
    }
}

/// Appends a gauge without labels that is not a whole number.
pub(super) fn write_gauge(metric: Metric, value: f64, out: &mut String) {
    header(metric, out);
    writeln!(out, "{} {value}", metric.name).expect("writing to a string cannot fail");
}

fn header(metric: Metric, out: &mut String) {
    let Metric { name, kind, help, .. } = metric;
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {}", kind.label())
        .expect("writing to a string cannot fail");
}

fn labels(names: &[&str], values: &[String], out: &mut String) {
    for (index, (name, value)) in names.iter().zip(values).enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        out.push_str(name);
        out.push_str("=\"");
        escape(value, out);
        out.push('"');
    }
    if !names.is_empty() {
        out.push('}');
    }
}

/// A label value may hold any UTF-8; these three are written as two characters.
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::names::{OVERRUNS, XFRM_STAT};
    use proptest::prelude::*;

    #[test]
    fn equal_labels_are_one_series_and_large_counts_are_exact() {
        let mut family = Family::new(XFRM_STAT);
        family.add(["b"], u64::MAX - 1);
        family.add(["a"], 3);
        family.add(["a"], 4);
        family.add(["b"], 7);
        let mut text = String::new();
        family.write(&mut text);
        let samples: Vec<&str> = text.lines().skip(2).collect();
        let last = format!("esp_xfrm_stat_total{{name=\"b\"}} {}", u64::MAX);
        assert_eq!(samples, ["esp_xfrm_stat_total{name=\"a\"} 7", last.as_str()]);
    }

    #[test]
    fn a_family_without_samples_is_not_there_and_one_without_labels_has_no_braces() {
        let (mut text, mut family) = (String::new(), Family::new(OVERRUNS));
        family.write(&mut text);
        assert_eq!(text, "");
        family.add([], 2);
        family.write(&mut text);
        assert_eq!(text.lines().last(), Some("esp_agent_netlink_overruns_total 2"));
    }

    #[test]
    fn the_three_special_characters_are_escaped() {
        let mut text = String::new();
        escape("a\"b\\c\nd", &mut text);
        assert_eq!(text, r#"a\"b\\c\nd"#);
    }

    proptest! {
        #[test]
        fn any_label_value_stays_on_its_line_and_can_be_read_back(value in r#"[\PC\n"\\]*"#) {
            let mut text = String::new();
            escape(&value, &mut text);
            prop_assert!(!text.contains('\n'));
            prop_assert_eq!(unescape(&text), Some(value));
        }
    }

    /// As a scraper reads it; `None` where a quote would end the value early or an escape is unknown.
    fn unescape(text: &str) -> Option<String> {
        let (mut value, mut characters) = (String::new(), text.chars());
        while let Some(character) = characters.next() {
            value.push(match character {
                '"' => return None,
                '\\' => match characters.next()? {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    _ => return None,
                },
                plain => plain,
            });
        }
        Some(value)
    }
}
