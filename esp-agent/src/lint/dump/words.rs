//! Lines and words of a dump.

use super::DumpError;
use crate::xfrm::model::{AH, COMP, ESP, Mark, Mode};
use std::net::IpAddr;

/// A line that is not empty.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    /// From 1.
    number: usize,
    /// Belongs to what stands above.
    pub(super) indented: bool,
    pub(super) words: Vec<&'a str>,
}

pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.lines()
        .enumerate()
        .map(|(index, line)| Line {
            number: index + 1,
            indented: line.starts_with([' ', '\t']),
            words: line.split_whitespace().collect(),
        })
        .filter(|line| !line.words.is_empty())
}

impl<'a> Line<'a> {
    pub(super) const fn error(&self, text: &'static str) -> DumpError {
        DumpError { line: self.number, text }
    }

    pub(super) fn starts(&self, word: &str) -> bool {
        self.words.first() == Some(&word)
    }

    /// The word behind `key`.
    pub(super) fn after(&self, key: &str) -> Option<&'a str> {
        self.words.iter().skip_while(|word| **word != key).nth(1).copied()
    }

    pub(super) fn need(&self, key: &str, lack: &'static str) -> Result<&'a str, DumpError> {
        self.after(key).ok_or_else(|| self.error(lack))
    }

    /// A number behind `key`, such as `0x00001001(4097)`, `9(0x00000009)` or `32,`; 0 when `key` is not there.
    pub(super) fn number(&self, key: &str) -> Result<u32, DumpError> {
        self.after(key)
            .map_or(Ok(0), |word| number(word).ok_or_else(|| self.error("holds a number that is none")))
    }

    /// `0x10/0xff` behind `key`.
    pub(super) fn mark(&self, key: &str) -> Result<Mark, DumpError> {
        let Some(word) = self.after(key) else { return Ok(Mark::default()) };
        let parts = word.split_once('/').and_then(|(value, mask)| Some((number(value)?, number(mask)?)));
        parts.map(|(value, mask)| Mark { value, mask }).ok_or_else(|| self.error("holds a mark that is none"))
    }

    pub(super) fn addr(&self, key: &str) -> Result<IpAddr, DumpError> {
        let word = self.need(key, "lacks an address")?;
        word.parse().map_err(|_| self.error("holds an address that is none"))
    }

    /// IP protocol of a state or template.
    pub(super) fn transform(&self) -> Result<u8, DumpError> {
        match self.need("proto", "lacks its protocol")? {
            "esp" => Ok(ESP),
            "ah" => Ok(AH),
            "comp" => Ok(COMP),
            "route2" => Ok(43),
            "hao" => Ok(60),
            other => other.parse().map_err(|_| self.error("holds a protocol that XFRM does not have")),
        }
    }

    pub(super) fn mode(&self) -> Result<Mode, DumpError> {
        Ok(match self.need("mode", "lacks its mode")? {
            "transport" => Mode::Transport,
            "tunnel" => Mode::Tunnel,
            "beet" => Mode::Beet,
            "ro" => Mode::Other(2),
            "in_trigger" => Mode::Other(3),
            "iptfs" => Mode::Other(5),
            _ => return Err(self.error("holds a mode that is not known")),
        })
    }
}

fn number(word: &str) -> Option<u32> {
    let word = word.split(['(', ',']).next()?;
    match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    }
}
