//! The Prometheus text format, as far as an assertion needs it.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// Its labels, unescaped.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// What one scrape said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    /// The text as it came.
    pub text: String,
    /// All samples, in their order.
    pub samples: Vec<Sample>,
    /// Name to `# TYPE`.
    pub types: BTreeMap<String, String>,
}

impl Scrape {
    /// Reads the text format (version 0.0.4).
    ///
    /// # Errors
    /// A line that is no comment and no sample, by its number.
    pub fn parse(text: &str) -> Result<Self> {
        let mut scrape = Self { text: text.to_owned(), ..Self::default() };
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) =
                    kind.split_once(' ').with_context(|| format!("line {}: bad TYPE", number + 1))?;
                scrape.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                scrape.samples.push(sample(line).with_context(|| format!("line {}: {line}", number + 1))?);
            }
        }
        Ok(scrape)
    }

    /// The samples of `name` whose labels have all the pairs of `labels`.
    pub fn matching<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            let has = |(key, value): &(&str, &str)| sample.labels.get(*key).is_some_and(|v| v == value);
            sample.name == name && labels.iter().all(has)
        })
    }

    /// The sum over the matching samples; `None` where there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let mut values = self.matching(name, labels).map(|sample| sample.value as u64).peekable();
        values.peek()?;
        Some(values.sum())
    }
}

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    // A time stamp may follow the value.
    let value = rest.split_whitespace().next().context("no value")?;
    let value = value.parse().with_context(|| format!("failed to read the value {value}"))?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads `key="value",...}` and gives back what follows the brace.
fn labels(mut rest: &str) -> Result<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (key, after) = rest.split_once("=\"").context("a label without a value")?;
        let (value, after) = quoted(after)?;
        if labels.insert(key.to_owned(), value).is_some() {
            bail!("the label {key} comes twice");
        }
        rest = after;
    }
}

/// Reads to the closing quote and undoes the three escapes of the format.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                other => bail!("bad escape {other:?}"),
            },
            other => value.push(other),
        }
    }
    bail!("a label value without its closing quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP esp_spi_packets_total Packets of a flow.
# TYPE esp_spi_packets_total counter
esp_spi_packets_total{iface=\"eth5\",direction=\"in\",spi=\"0x69427567\"} 4
esp_spi_packets_total{iface=\"eth6\",direction=\"in\",spi=\"0x69427567\"} 3 1700000000
esp_agent_up 1
odd{text=\"a \\\"b\\\" \\\\ c\\nd, }\"} 2.5
";

    #[test]
    fn samples_are_summed_over_the_labels_not_named() {
        let scrape = Scrape::parse(TEXT).unwrap();
        assert_eq!(scrape.sum("esp_spi_packets_total", &[("direction", "in")]), Some(7));
        assert_eq!(scrape.sum("esp_spi_packets_total", &[("iface", "eth6")]), Some(3));
        assert_eq!(scrape.sum("esp_spi_packets_total", &[("iface", "eth7")]), None);
        assert_eq!(scrape.sum("esp_agent_up", &[]), Some(1));
        assert_eq!(scrape.types["esp_spi_packets_total"], "counter");
    }

    #[test]
    fn escapes_and_braces_inside_a_value_are_text() {
        let scrape = Scrape::parse(TEXT).unwrap();
        let odd = scrape.matching("odd", &[]).next().unwrap();
        assert_eq!(odd.labels["text"], "a \"b\" \\ c\nd, }");
        assert!((odd.value - 2.5).abs() < f64::EPSILON);
    }

    #[test]
    fn nonsense_is_an_error_with_its_line() {
        for bad in ["name", "name{a=\"b\" 1", "name{a=\"b\"} x", "name{a=\"1\",a=\"2\"} 1"] {
            let error = Scrape::parse(&format!("ok 1\n{bad}\n")).unwrap_err();
            assert!(error.to_string().starts_with("line 2: "), "{bad}: {error}");
        }
    }
}
