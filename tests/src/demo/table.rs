//! Rows of step, expectation and finding.

use anyhow::Result;
use std::io::{self, Write};

/// What a step saw, and whether that is what was expected.
#[derive(Clone, Debug)]
pub struct Found {
    ok: bool,
    seen: String,
}

/// A finding.
pub fn found(ok: bool, seen: impl ToString) -> Found {
    Found { ok, seen: seen.to_string() }
}

/// Prints each row when it is known.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    rows: usize,
    failed: usize,
}

impl<W: Write> Table<W> {
    /// An empty table.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(mut out: W, title: &str) -> io::Result<Self> {
        writeln!(out, "{title}")?;
        Ok(Self { out, rows: 0, failed: 0 })
    }

    /// Does a step. A step that cannot be done is a failed row that says why, and the next ones go on.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub fn row(
        &mut self,
        step: &str,
        expected: &str,
        work: impl FnOnce() -> Result<Found>,
    ) -> io::Result<()> {
        let Found { ok, seen } = work().unwrap_or_else(|error| found(false, format!("{error:#}")));
        self.rows += 1;
        self.failed += usize::from(!ok);
        writeln!(self.out, "{} {step}", if ok { "ok    " } else { "FAILED" })?;
        writeln!(self.out, "         expected  {expected}")?;
        let mut seen = seen.lines();
        writeln!(self.out, "         seen      {}", seen.next().unwrap_or_default())?;
        for line in seen {
            writeln!(self.out, "                   {line}")?;
        }
        self.out.flush()
    }

    /// Prints the sum: true when there were rows and none failed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(mut self) -> io::Result<bool> {
        writeln!(self.out, "{} of {} rows as expected", self.rows - self.failed, self.rows)?;
        Ok(self.rows > 0 && self.failed == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_a_row_and_the_verdict() {
        let mut text = Vec::new();
        let mut table = Table::new(&mut text, "steps").unwrap();
        table.row("one", "1", || Ok(found(true, 1))).unwrap();
        table.row("two", "2", || anyhow::bail!("no way\nat all")).unwrap();
        assert!(!table.close().unwrap());
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("FAILED two"), "{text}");
        assert!(
            text.ends_with("seen      no way\n                   at all\n1 of 2 rows as expected\n"),
            "{text}"
        );
    }

    #[test]
    fn an_empty_table_proves_nothing() {
        assert!(!Table::new(Vec::new(), "none").unwrap().close().unwrap());
    }
}
