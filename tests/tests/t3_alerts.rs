//! Prometheus takes the alert rules, and each fires on what it is for.

use anyhow::{Result, ensure};
use esp_tests::run;
use std::{path::Path, process::Command};

fn promtool(args: [&str; 2], file: &str) -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    run::text(Command::new("promtool").args(args).arg(file))
}

#[test]
#[ignore = "T3: promtool"]
fn the_rules_are_well_formed() -> Result<()> {
    let said = promtool(["check", "rules"], "../esp-agent/dist/alerts.yml")?;
    ensure!(said.contains("SUCCESS"), "{said}");
    Ok(())
}

#[test]
#[ignore = "T3: promtool"]
fn each_alert_fires_on_what_it_is_for_and_none_on_a_quiet_gateway() -> Result<()> {
    let said = promtool(["test", "rules"], "golden/alerts/tests.yml")?;
    ensure!(said.contains("SUCCESS"), "{said}");
    Ok(())
}
