//! Lints: what is allowed and still a bad idea.

use super::report::At;
pub use crate::lint::LintCode;
use serde::Serialize;
use std::fmt;

/// A warning about a valid configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Lint {
    /// Which rule.
    pub code: LintCode,
    /// Key path.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Why it is a bad idea.
    pub reason: String,
    /// What to do instead.
    pub fix: String,
}

impl Lint {
    pub(super) fn new(code: LintCode, at: &At, reason: &str, fix: &str) -> Self {
        Self { code, path: at.path.clone(), line: at.line, reason: reason.to_owned(), fix: fix.to_owned() }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "lint {}: {}: {}", self.code.label(), self.reason, self.fix)
    }
}
