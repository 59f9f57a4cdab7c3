//! The table of verdicts by reason and mode.

use esp_common::{Guard, Reason};
use std::fmt::Write as _;

/// The table of the README, made from the list of reasons.
#[must_use]
pub fn verdict_markdown() -> String {
    let mut table =
        String::from("| reason | meaning | guard | off | observe | enforce |\n|---|---|---|---|---|---|\n");
    for reason in Reason::ALL {
        let guard = reason.guard();
        let always = if reason.is_over_budget() { "drop" } else { "pass" };
        let enforce = if guard.is_some() { "drop" } else { always };
        let (name, text) = (reason.label(), reason.text());
        writeln!(
            table,
            "| `{name}` | {text} | {} | {always} | {always} | {enforce} |",
            guard.map_or("", Guard::label)
        )
        .expect("writing to a string cannot fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guarded_reasons_drop_in_enforce_alone_and_budgets_in_every_mode() {
        let table = verdict_markdown();
        assert_eq!(table.lines().count(), Reason::ALL.len() + 2);
        for (line, reason) in table.lines().skip(2).zip(Reason::ALL) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, text, guard, off, observe, enforce] = cells[..] else { panic!("six cells in {line}") };
            assert_eq!(name, format!("`{}`", reason.label()));
            assert_eq!(text, reason.text());
            assert_eq!(guard, reason.guard().map_or("", Guard::label));
            let always = if reason.is_over_budget() { "drop" } else { "pass" };
            let last = if reason.guard().is_some() { "drop" } else { always };
            assert_eq!((off, observe, enforce), (always, always, last), "{line}");
        }
    }
}
