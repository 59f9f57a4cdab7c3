//! SAs that are gone, kept for a while: whoever still sends with their SPI can be told why it no longer works.

use esp_common::Spi;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// What is remembered. A full set is some 150 KiB of state file.
const LIMIT: usize = 1024;

/// One SA that is gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tombstone {
    /// Destination.
    pub dst: IpAddr,
    /// SPI, as a number.
    pub spi: u32,
    /// Source.
    pub src: IpAddr,
    /// Request id.
    pub reqid: u32,
    /// Tunnel; empty if none.
    pub tunnel: String,
    /// When it went, seconds since the epoch.
    pub gone_s: u64,
    /// Why.
    pub cause: Cause,
}

/// Why an SA is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Deleted while another SA of the same ends, request id and interface was there.
    Rekeyed,
    /// Reached a hard limit.
    Expired,
    /// Deleted, with none in its place.
    Deleted,
    /// All SAs were flushed.
    Flushed,
    /// Deleted by this agent.
    ByUs,
    /// Gone between two readings, its event was lost or never sent.
    Unseen,
}

impl Cause {
    /// The word of the JSON schema.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Rekeyed => "rekeyed",
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Flushed => "flushed",
            Self::ByUs => "by_us",
            Self::Unseen => "unseen",
        }
    }

    /// For people: what happened.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Rekeyed => "deleted by a rekey",
            Self::Expired => "expired at its hard limit",
            Self::Deleted => "deleted",
            Self::Flushed => "flushed",
            Self::ByUs => "deleted by this agent",
            Self::Unseen => "gone, unseen",
        }
    }
}

/// The most recent ones, by (destination, SPI).
#[derive(Clone, Default, Debug)]
pub struct Tombstones {
    stones: HashMap<(IpAddr, u32), (u64, Tombstone)>,
    order: BTreeMap<u64, (IpAddr, u32)>,
    next: u64,
}

impl Tombstones {
    /// Remembers one; the oldest makes room.
    pub fn bury(&mut self, stone: Tombstone) {
        let key = (stone.dst, stone.spi);
        self.raise(stone.dst, Spi::new(stone.spi));
        if self.stones.len() >= LIMIT
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.stones.remove(&oldest);
        }
        self.order.insert(self.next, key);
        self.stones.insert(key, (self.next, stone));
        self.next += 1;
    }

    /// Forgets one: its SPI is in use again.
    pub fn raise(&mut self, dst: IpAddr, spi: Spi) {
        if let Some((number, _)) = self.stones.remove(&(dst, spi.number())) {
            self.order.remove(&number);
        }
    }

    /// Says why one went that a reading only missed: its event came later.
    pub fn explain(&mut self, dst: IpAddr, spi: Spi, cause: impl FnOnce(&Tombstone) -> Cause) {
        if let Some((_, stone)) = self.stones.get_mut(&(dst, spi.number()))
            && stone.cause == Cause::Unseen
        {
            stone.cause = cause(stone);
        }
    }

    /// The one of (destination, SPI).
    #[must_use]
    pub fn of(&self, dst: IpAddr, spi: Spi) -> Option<&Tombstone> {
        self.stones.get(&(dst, spi.number())).map(|(_, stone)| stone)
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Tombstone> {
        self.order.values().filter_map(|key| self.stones.get(key)).map(|(_, stone)| stone)
    }
}

impl FromIterator<Tombstone> for Tombstones {
    fn from_iter<I: IntoIterator<Item = Tombstone>>(stones: I) -> Self {
        let mut all = Self::default();
        stones.into_iter().for_each(|stone| all.bury(stone));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stone(spi: u32, cause: Cause) -> Tombstone {
        let addr = |last| IpAddr::from([10, 0, 0, last]);
        Tombstone {
            dst: addr(1),
            spi,
            src: addr(2),
            reqid: 5,
            tunnel: "site-b".into(),
            gone_s: u64::from(spi),
            cause,
        }
    }

    #[test]
    fn the_oldest_makes_room_and_their_number_stays_bounded() {
        let limit = u32::try_from(LIMIT).unwrap();
        let stones: Tombstones = (0..2 * limit).map(|spi| stone(spi, Cause::Deleted)).collect();
        assert_eq!((stones.stones.len(), stones.order.len()), (LIMIT, LIMIT));
        let kept: Vec<u32> = stones.iter().map(|stone| stone.spi).collect();
        assert_eq!(kept, (limit..2 * limit).collect::<Vec<_>>());
    }

    #[test]
    fn an_spi_that_is_used_again_has_no_tombstone() {
        let mut stones: Tombstones =
            [stone(1, Cause::Deleted), stone(2, Cause::Expired)].into_iter().collect();
        stones.raise(stone(1, Cause::Deleted).dst, Spi::new(1));
        assert_eq!(stones.iter().map(|stone| stone.spi).collect::<Vec<_>>(), [2]);
        stones.bury(stone(2, Cause::Flushed));
        assert_eq!(stones.iter().map(|stone| stone.cause).collect::<Vec<_>>(), [Cause::Flushed]);
    }

    #[test]
    fn only_what_was_missed_is_explained_later() {
        let mut stones: Tombstones =
            [stone(1, Cause::Unseen), stone(2, Cause::Expired)].into_iter().collect();
        let dst = stone(1, Cause::Unseen).dst;
        stones.explain(dst, Spi::new(1), |_| Cause::ByUs);
        stones.explain(dst, Spi::new(2), |_| Cause::ByUs);
        assert_eq!(stones.of(dst, Spi::new(1)).map(|stone| stone.cause), Some(Cause::ByUs));
        assert_eq!(stones.of(dst, Spi::new(2)).map(|stone| stone.cause), Some(Cause::Expired));
    }
}
