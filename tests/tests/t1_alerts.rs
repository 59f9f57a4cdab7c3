//! The alert rules speak of metrics that the agent has.

use esp_agent::metrics::names;
use esp_common::{Guard, Reason};
use std::{collections::BTreeSet, fs, path::Path};

fn rules() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../esp-agent/dist/alerts.yml");
    fs::read_to_string(path).expect("the alert rules")
}

/// All words of the rules that begin with `esp_`.
fn metrics(rules: &str) -> BTreeSet<&str> {
    rules
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("esp_"))
        .collect()
}

/// The values that the rules compare a label with, alternatives apart.
fn values<'a>(rules: &'a str, label: &str) -> BTreeSet<&'a str> {
    let after = |operator: &str| {
        let matcher = format!("{label}{operator}\"");
        rules.match_indices(&matcher).map(|(at, _)| at + matcher.len()).collect::<Vec<_>>()
    };
    let starts = [after("="), after("=~")].concat();
    let quoted = starts.into_iter().filter_map(|start| rules.get(start..)?.split('"').next());
    quoted.flat_map(|value| value.split('|')).collect()
}

#[test]
fn every_metric_exists() {
    let rules = rules();
    let named = metrics(&rules);
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(names::ALL.iter().any(|metric| metric.name == name), "no metric {name}");
    }
}

#[test]
fn every_reason_and_guard_exists() {
    let rules = rules();
    let (reasons, guards) = (values(&rules, "reason"), values(&rules, "guard"));
    assert_eq!((reasons.len(), guards.len()), (3, 3), "{reasons:?} {guards:?}");
    for name in reasons {
        assert!(Reason::ALL.iter().any(|reason| reason.label() == name), "no reason {name}");
    }
    for name in guards {
        assert!(Guard::ALL.iter().any(|guard| guard.label() == name), "no guard {name}");
    }
}
