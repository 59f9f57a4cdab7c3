//! Reads one TOML table key by key.
//!
//! Not serde: its first error is its last, and its texts quote the value, which may be a key.

use super::report::{At, Located, Report};
use std::ops::RangeInclusive;
use toml::de::{DeInteger, DeTable, DeValue};

/// A table of the file. Every key that is asked for is known; [`Section::finish`] reports the others.
pub(super) struct Section<'a> {
    pub(super) at: At,
    pub(super) report: &'a Report,
    table: &'a DeTable<'a>,
    known: Vec<String>,
}

impl<'a> Section<'a> {
    /// The document itself.
    pub(super) fn root(table: &'a DeTable<'a>, report: &'a Report) -> Self {
        let at = At { path: String::new(), line: 1 };
        Self { at, report, table, known: Vec::new() }
    }

    /// True when `key` is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where `key` is, or where it is missing.
    pub(super) fn place(&self, key: &str) -> At {
        let line = self.table.get(key).map_or(self.at.line, |value| self.line(value.span().start));
        At { path: self.path(key), line }
    }

    /// Reports `key` as missing unless it is there.
    pub(super) fn require(&self, key: &str) {
        if !self.has(key) {
            self.report.error(&self.place(key), "missing");
        }
    }

    /// A string that `parse` understands; its error text must not quote the string.
    pub(super) fn text<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let found = self.take(key)?;
        let text = typed("a string", found.value, found.value.as_str());
        self.settle(found.at, text.and_then(parse))
    }

    /// One of a closed list of strings.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<Located<T>> {
        self.text(key, |text| {
            let chosen = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
            chosen.ok_or_else(|| {
                let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                format!("must be one of {}", names.join(", "))
            })
        })
    }

    /// An integer within `range`.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Located<u64>> {
        let found = self.take(key)?;
        let integer = typed("an integer", found.value, found.value.as_integer());
        self.settle(found.at, integer.and_then(|integer| within(&range, integer)))
    }

    /// An integer, or a string: for what is written either way, such as an SPI.
    pub(super) fn number_or_text<T>(
        &mut self,
        key: &str,
        from_number: impl FnOnce(Option<u64>) -> Result<T, String>,
        from_text: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Located<T>> {
        let found = self.take(key)?;
        let parsed = match (found.value.as_integer(), found.value.as_str()) {
            (Some(integer), _) => from_number(unsigned(integer)),
            (None, Some(text)) => from_text(text),
            (None, None) => Err(expected("an integer or a string", found.value)),
        };
        self.settle(found.at, parsed)
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str) -> Option<Located<bool>> {
        let found = self.take(key)?;
        let parsed = typed("true or false", found.value, found.value.as_bool());
        self.settle(found.at, parsed)
    }

    /// One string or an array of strings; those that `parse` refuses are `None`.
    pub(super) fn texts<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Located<Vec<Option<Located<T>>>>> {
        self.list(key, |value| typed("a string", value, value.as_str()).and_then(&parse))
    }

    /// One integer within `range` or an array of them; others are `None`.
    pub(super) fn numbers(
        &mut self,
        key: &str,
        range: &RangeInclusive<u64>,
    ) -> Option<Located<Vec<Option<Located<u64>>>>> {
        self.list(key, |value| within(range, typed("an integer", value, value.as_integer())?))
    }

    fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<Located<Vec<Option<Located<T>>>>> {
        let found = self.take(key)?;
        let one = |at: At, value: &DeValue<'_>| self.settle(at, parse(value));
        let values = match found.value.as_array() {
            None => vec![one(found.at.clone(), found.value)],
            Some(array) => array
                .iter()
                .enumerate()
                .map(|(index, value)| one(self.item(key, index, value.span().start), value.get_ref()))
                .collect(),
        };
        Some(Located { value: values, at: found.at })
    }

    /// A sub-table.
    pub(super) fn table(&mut self, key: &str) -> Option<Section<'a>> {
        let found = self.take(key)?;
        self.sub(found.at, found.value)
    }

    /// An array of tables.
    pub(super) fn tables(&mut self, key: &str) -> Vec<Section<'a>> {
        let Some(found) = self.take(key) else { return Vec::new() };
        let DeValue::Array(array) = found.value else {
            self.report.error(&found.at, format_args!("write [[{}]]", found.at.path));
            return Vec::new();
        };
        let sections = array.iter().enumerate().filter_map(|(index, value)| {
            self.sub(self.item(key, index, value.span().start), value.get_ref())
        });
        sections.collect()
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            if !self.known.iter().any(|known| known == key.get_ref()) {
                let at = At { path: self.path(key.get_ref()), line: self.line(key.span().start) };
                self.report.error(&at, format_args!("unknown key; known here: {}", self.known.join(", ")));
            }
        }
    }

    fn take(&mut self, key: &str) -> Option<Located<&'a DeValue<'a>>> {
        self.known.push(key.to_owned());
        let table = self.table;
        let value = table.get(key)?;
        Some(Located { value: value.get_ref(), at: self.place(key) })
    }

    fn sub(&self, at: At, value: &'a DeValue<'a>) -> Option<Section<'a>> {
        let table = self.settle(at.clone(), typed("a table", value, value.as_table()))?.value;
        Some(Section { at, report: self.report, table, known: Vec::new() })
    }

    fn settle<T>(&self, at: At, parsed: Result<T, String>) -> Option<Located<T>> {
        match parsed {
            Ok(value) => Some(Located { value, at }),
            Err(text) => {
                self.report.error(&at, text);
                None
            }
        }
    }

    fn path(&self, key: &str) -> String {
        if self.at.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at.path) }
    }

    fn item(&self, key: &str, index: usize, offset: usize) -> At {
        At { path: format!("{}[{index}]", self.path(key)), line: self.line(offset) }
    }

    fn line(&self, offset: usize) -> usize {
        self.report.position(offset).0
    }
}

fn unsigned(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn within(range: &RangeInclusive<u64>, integer: &DeInteger<'_>) -> Result<u64, String> {
    let number = unsigned(integer).filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

fn typed<T>(wanted: &str, found: &DeValue<'_>, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| expected(wanted, found))
}

fn expected(wanted: &str, found: &DeValue<'_>) -> String {
    let kind = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    format!("expected {wanted}, found {kind}")
}
