//! TOML text to a table of located values. Syntax errors keep their place and lose the source line, which may
//! hold a key: that is why `toml`'s own rendering is not used.

use super::report::{At, Report};
use toml::de::DeTable;

/// Parses `text`; what is wrong with its syntax goes to `report`.
pub(super) fn parse<'a>(text: &'a str, report: &Report) -> DeTable<'a> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        let (line, column) = report.position(offset);
        let at = At { path: String::new(), line };
        // `message` is put together from fixed texts of the parser, never from the input.
        report.error(&at, format_args!("syntax error in column {column}: {}", error.message()));
    }
    table.into_inner()
}

/// Byte offsets of line starts.
pub(super) struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    pub(super) fn new(text: &str) -> Self {
        let after_newline = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: std::iter::once(0).chain(after_newline.map(|(index, _)| index + 1)).collect() }
    }

    /// Line and column, both from 1; the column counts bytes.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        (line, offset.saturating_sub(start) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_becomes_line_and_column() {
        let lines = LineIndex::new("ab\nc\n\nd");
        let cases = [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (5, (3, 1)), (6, (4, 1)), (99, (4, 94))];
        for (offset, wanted) in cases {
            assert_eq!(lines.position(offset), wanted, "offset {offset}");
        }
    }
}
