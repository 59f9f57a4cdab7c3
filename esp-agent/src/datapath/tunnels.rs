//! Numbers for tunnel names. A number keeps its meaning for as long as the pinned maps live: the totals stand under it.

use super::{
    DatapathError,
    maps::{Maps, on},
};
use esp_common::{TunnelName, names};
use std::collections::HashMap;

/// Names that have a number.
pub struct Tunnels {
    numbers: HashMap<String, u32>,
    next: u32,
}

impl Tunnels {
    /// Reads the names that are there.
    ///
    /// Errors: the map cannot be read.
    pub fn read(maps: &Maps) -> Result<Self, DatapathError> {
        let mut numbers = HashMap::new();
        let mut next = 1;
        for (number, name) in list(maps)? {
            next = number + 1;
            numbers.insert(name, number);
        }
        Ok(Self { numbers, next })
    }

    /// The number of `name`, a new one if need be. 0, no tunnel, for no name and when no number is left.
    ///
    /// Errors: the map cannot be written.
    pub fn number(&mut self, maps: &mut Maps, name: &str) -> Result<u32, DatapathError> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let Some(entry) = TunnelName::new(name).filter(|_| self.next < names::TUNNELS) else {
            return Ok(0);
        };
        maps.tunnel_names.set(self.next, entry, 0).map_err(on("write", names::MAP_TUNNEL_NAMES))?;
        self.numbers.insert(name.to_owned(), self.next);
        self.next += 1;
        Ok(self.next - 1)
    }
}

/// All numbers with their names: they are handed out without gaps.
///
/// Errors: the map cannot be read.
pub fn list(maps: &Maps) -> Result<Vec<(u32, String)>, DatapathError> {
    let mut found = Vec::new();
    for number in 1..names::TUNNELS {
        let name = maps.tunnel_names.get(&number, 0).map_err(on("read", names::MAP_TUNNEL_NAMES))?;
        if name.as_str().is_empty() {
            break;
        }
        found.push((number, name.as_str().to_owned()));
    }
    Ok(found)
}
