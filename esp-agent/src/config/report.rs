//! Errors and lints of a configuration file, each with its place; collected first, shown at once.

use super::document::LineIndex;
use super::lint::Lint;
use serde::Serialize;
use std::cell::RefCell;
use std::fmt;

/// One thing that is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConfigError {
    /// The file, as it was named by the caller.
    pub file: String,
    /// Line, from 1; `None` when it concerns the file as a whole.
    pub line: Option<usize>,
    /// Key path such as `tunnel[0].in.spi`; empty for the file or its syntax.
    pub path: String,
    /// What is wrong and the way out. Never holds key material.
    pub text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// Everything that is wrong with a configuration, in the order of its lines.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// An error of the file as a whole.
    pub(super) fn of_file(file: &str, text: String) -> Self {
        Self(vec![ConfigError { file: file.to_owned(), line: None, path: String::new(), text }])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

/// Where something was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct At {
    /// Key path.
    pub(super) path: String,
    /// Line, from 1.
    pub(super) line: usize,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) at: At,
}

impl<T> Located<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: change(self.value), at: self.at }
    }
}

/// Collects what is found while a file is read.
pub(super) struct Report {
    file: String,
    lines: LineIndex,
    errors: RefCell<Vec<ConfigError>>,
    lints: RefCell<Vec<Lint>>,
}

impl Report {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            lines: LineIndex::new(text),
            errors: RefCell::default(),
            lints: RefCell::default(),
        }
    }

    /// Line and column, from 1, of a byte offset.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        self.lines.position(offset)
    }

    pub(super) fn error(&self, at: &At, text: impl fmt::Display) {
        let error = ConfigError {
            file: self.file.clone(),
            line: Some(at.line),
            path: masked(&at.path),
            text: masked(&text.to_string()),
        };
        self.errors.borrow_mut().push(error);
    }

    pub(super) fn lint(&self, lint: Lint) {
        let lint = Lint { reason: masked(&lint.reason), fix: masked(&lint.fix), ..lint };
        self.lints.borrow_mut().push(lint);
    }

    /// True when nothing wrong was found so far.
    pub(super) fn is_clean(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// The lints, or all errors; both in the order of their lines.
    pub(super) fn finish(self) -> Result<Vec<Lint>, ConfigErrors> {
        let mut errors = self.errors.into_inner();
        if errors.is_empty() {
            let mut lints = self.lints.into_inner();
            lints.sort_by_key(|lint| lint.line);
            return Ok(lints);
        }
        errors.sort_by_key(|error| error.line);
        errors.dedup();
        Err(ConfigErrors(errors))
    }
}

/// Hex digits in a row from which text is taken for a key. An SPI has 8, an IPv6 group 4, the shortest key 32.
const KEY_LIKE_DIGITS: usize = 16;

/// True when a name or another value that will be shown could be a key.
pub(super) fn looks_like_a_key(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_hexdigit()).any(|digits| digits.len() >= KEY_LIKE_DIGITS)
}

/// Replaces what could be a key that was typed into the wrong place, and what would break the line.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        let taken = if digits == 0 { first.len_utf8() } else { digits };
        let (head, tail) = rest.split_at(taken);
        match head {
            _ if digits >= KEY_LIKE_DIGITS => out.push_str("<hidden>"),
            _ if first.is_control() => out.push('?'),
            _ => out.push_str(head),
        }
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_key_is_hidden() {
        let cases = [
            ("failed to open /k/0x0123456789ABCDEF01", "failed to open /k/0x<hidden>"),
            ("0123456789abcdef", "<hidden>"),
            ("SPI 0x69427567 at 2001:db8::1", "SPI 0x69427567 at 2001:db8::1"),
            ("a\nb", "a?b"),
            ("größe", "größe"),
        ];
        for (text, wanted) in cases {
            assert_eq!(masked(text), wanted);
            assert_eq!(looks_like_a_key(text), wanted.contains("<hidden>"), "{text:?}");
        }
    }
}
