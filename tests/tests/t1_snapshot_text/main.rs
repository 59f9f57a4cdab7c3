//! T1: a fixed snapshot as a scrape and as `status` prints it, byte for byte.
//!
//! After a wanted change: `UPDATE_GOLDEN=1 cargo test -p esp-tests --test t1_snapshot_text`, then read the diff.

mod sample;

use esp_agent::metrics::{SPI_SERIES, render};
use esp_agent::snapshot::Snapshot;
use esp_agent::status;
use std::path::Path;

/// Compares `text` with a file below `golden/`, or writes the file when asked to.
fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("failed to write {name}: {error}"));
    }
    let golden =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("failed to read {name}: {error}"));
    assert_eq!(text, golden, "{name} differs");
}

/// The agent is stopped and the kernel has no statistics: what is left is what the pinned maps hold.
fn agent_down() -> Snapshot {
    let mut snapshot = sample::lab();
    snapshot.agent = None;
    snapshot.xfrm_stat = None;
    snapshot.guards.trusted = false;
    snapshot
}

fn text(snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    status::text(snapshot, &mut out).expect("a vector takes all bytes");
    String::from_utf8(out).expect("text is UTF-8")
}

fn json(snapshot: &Snapshot) -> String {
    let mut out = Vec::new();
    status::json(snapshot, &mut out).expect("a vector takes all bytes");
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn a_scrape() {
    assert_golden("metrics/lab.txt", &render(&sample::lab(), SPI_SERIES));
}

#[test]
fn a_scrape_with_the_agent_down() {
    assert_golden("metrics/agent_down.txt", &render(&agent_down(), SPI_SERIES));
}

#[test]
fn families_come_in_the_order_of_the_list_and_all_are_there() {
    let text = render(&sample::lab(), SPI_SERIES);
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let named: Vec<String> = esp_agent::metrics::names::ALL
        .iter()
        .map(|metric| format!("{} {}", metric.name, metric.kind.label()))
        .collect();
    assert_eq!(families, named);
}

#[test]
fn status_for_people() {
    assert_golden("status/lab.txt", &text(&sample::lab()));
    assert_golden("status/agent_down.txt", &text(&agent_down()));
}

#[test]
fn status_for_programs() {
    let text = json(&sample::lab());
    let value: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
    assert_eq!(value["schema"], status::SCHEMA);
    assert_golden("status/lab.json", &text);
    assert_golden("status/agent_down.json", &json(&agent_down()));
}

#[test]
fn an_empty_snapshot_has_a_status_too() {
    let text = text(&Snapshot::default());
    assert!(text.starts_with("agent: not running"), "{text}");
    assert!(!text.contains("tunnels"), "{text}");
}

#[test]
fn long_lists_are_cut_for_people_and_whole_for_programs() {
    let mut snapshot = sample::lab();
    let ghost = snapshot.flows.iter().find(|flow| !flow.known).cloned().expect("a ghost in the sample");
    snapshot.flows = (0..50).map(|packets| sample_ghost(&ghost, packets)).collect();
    let text = text(&snapshot);
    assert!(text.contains("ghosts, ESP flows without an SA: 50"), "{text}");
    assert!(text.contains("... and 30 more"), "{text}");
    let value: serde_json::Value = serde_json::from_str(&json(&snapshot)).expect("valid JSON");
    assert_eq!(value["flows"].as_array().map(Vec::len), Some(50));
}

fn sample_ghost(ghost: &esp_agent::snapshot::FlowRow, packets: u64) -> esp_agent::snapshot::FlowRow {
    esp_agent::snapshot::FlowRow { packets, ..ghost.clone() }
}

/// The names are those of /proc/net/xfrm_stat as Linux 6.18 prints it.
#[test]
fn every_counter_of_linux_6_18_has_a_hint() {
    let counters = include_str!("../../golden/xfrm_stat/linux-6.18.txt");
    let names: Vec<&str> = counters.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names.len(), 32);
    for name in names {
        assert!(status::hint::hint(name).is_some(), "{name}");
    }
}
