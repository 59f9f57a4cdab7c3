//! Packets by reason, and flows by SPI, out of one scrape.

use crate::promtext::{Sample, Scrape};
use std::{
    collections::BTreeMap,
    fmt,
    ops::{Add, Sub},
};

/// Packets and bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64, pub u64);

impl Count {
    /// One packet of this frame.
    #[must_use]
    pub const fn of(frame: &[u8]) -> Self {
        Self(1, frame.len() as u64)
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1)
    }
}

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Self::add)
    }
}

impl fmt::Debug for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets of {} bytes", self.0, self.1)
    }
}

/// By the values of some labels, in the order in which they were named.
pub type Tally<const N: usize> = BTreeMap<[String; N], Count>;

/// Reasons of one hook on one interface: `[reason, action]`.
#[must_use]
pub fn reasons(scrape: &Scrape, iface: &str, hook: &str) -> Tally<2> {
    let of = [("iface", iface), ("hook", hook)];
    tally(scrape, ["esp_packets_total", "esp_packet_bytes_total"], &of, ["reason", "action"])
}

/// All packets that a hook on an interface has counted.
#[must_use]
pub fn total(scrape: &Scrape, iface: &str, hook: &str) -> Count {
    reasons(scrape, iface, hook).into_values().sum()
}

/// Flows of one interface: `[direction, spi, dst, known]`.
#[must_use]
pub fn flows(scrape: &Scrape, iface: &str) -> Tally<4> {
    let names = ["esp_spi_packets_total", "esp_spi_bytes_total"];
    tally(scrape, names, &[("iface", iface)], ["direction", "spi", "dst", "known"])
}

/// Adds one packet of `frame` under `key`.
pub fn note<const N: usize>(tally: &mut Tally<N>, key: [&str; N], frame: &[u8]) {
    let count = tally.entry(key.map(str::to_owned)).or_default();
    *count = *count + Count::of(frame);
}

fn tally<const N: usize>(
    scrape: &Scrape,
    [packets, bytes]: [&str; 2],
    of: &[(&str, &str)],
    by: [&str; N],
) -> Tally<N> {
    let key = |sample: &Sample| by.map(|label| sample.labels.get(label).cloned().unwrap_or_default());
    let mut tally = Tally::new();
    for sample in scrape.matching(packets, of) {
        tally.entry(key(sample)).or_insert(Count::default()).0 += sample.value as u64;
    }
    for sample in scrape.matching(bytes, of) {
        tally.entry(key(sample)).or_insert(Count::default()).1 += sample.value as u64;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_bytes_meet_under_their_labels() {
        let text = "\
esp_packets_total{iface=\"a\",hook=\"xdp\",reason=\"not_ip\",action=\"pass\"} 2
esp_packets_total{iface=\"b\",hook=\"xdp\",reason=\"not_ip\",action=\"pass\"} 7
esp_packet_bytes_total{iface=\"a\",hook=\"xdp\",reason=\"not_ip\",action=\"pass\"} 84
";
        let scrape = Scrape::parse(text).unwrap();
        let mut expected = Tally::new();
        for _ in 0..2 {
            note(&mut expected, ["not_ip", "pass"], &[0; 42]);
        }
        assert_eq!(reasons(&scrape, "a", "xdp"), expected);
        assert_eq!(total(&scrape, "a", "xdp"), Count(2, 84));
        assert_eq!(total(&scrape, "a", "tc_egress"), Count(0, 0));
    }
}
