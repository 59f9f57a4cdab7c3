//! The file: which numbers are taken, by destination, SPI and print of the keys.

use super::LedgerError;
use super::print::{Print, Salt};
use crate::instance::Instance;
use crate::record::{FileStore, Store};
use crate::xfrm::model::{SaId, SaKeys};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;

/// Version of the file.
pub(super) const SCHEMA: u32 = 1;
/// Entries that are kept. The oldest go: after so many rotations their keys do not come back.
const MOST: usize = 65_536;

/// The numbers, read into memory.
pub struct Ledger {
    store: Box<dyn Store>,
    /// Makes the directory of the store.
    prepare: Box<dyn Fn() -> io::Result<()> + Send>,
    salt: Salt,
    marks: BTreeMap<Key, Mark>,
    /// The highest `oseq` of a key, whatever its SPI: a nonce is of the key.
    sent: HashMap<Print, u64>,
    /// Counts on with every use of an entry.
    clock: u64,
}

/// What numbers belong to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    dst: IpAddr,
    spi: u32,
    print: Print,
}

/// The numbers of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Mark {
    /// All up to this one may have been sent.
    pub(super) oseq: u64,
    /// The highest that was received.
    pub(super) seq: u64,
    /// When it was used last, in [`Ledger::clock`].
    used: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    schema: u32,
    salt: Salt,
    /// In the order of their last use.
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    dst: IpAddr,
    spi: u32,
    print: Print,
    oseq: u64,
    seq: u64,
}

/// The part that every version has.
#[derive(Deserialize)]
struct Head {
    schema: u32,
}

impl Ledger {
    /// That of `instance`.
    ///
    /// # Errors
    /// The file cannot be read, is damaged or of another version.
    pub fn of(instance: &Instance) -> Result<Self, LedgerError> {
        let place = instance.clone();
        let prepare = move || place.make_durable_dir().map_err(io::Error::other);
        Self::open(Box::new(FileStore::new(instance.durable_dir.join("sequence.json"))), Box::new(prepare))
    }

    /// That in `store`, whose directory `prepare` makes.
    ///
    /// # Errors
    /// As [`Ledger::of`].
    pub fn open(
        store: Box<dyn Store>,
        prepare: Box<dyn Fn() -> io::Result<()> + Send>,
    ) -> Result<Self, LedgerError> {
        let path = store.path().to_owned();
        let bytes = store.load().map_err(|source| LedgerError::Read { path: path.clone(), source })?;
        let mut ledger = Self {
            store,
            prepare,
            salt: Salt::fresh(),
            marks: BTreeMap::new(),
            sent: HashMap::new(),
            clock: 0,
        };
        if let Some(bytes) = bytes {
            let damaged = |source| LedgerError::Damaged { path: path.clone(), source };
            let head: Head = serde_json::from_slice(&bytes).map_err(damaged)?;
            if head.schema != SCHEMA {
                return Err(LedgerError::Schema { path, found: head.schema });
            }
            ledger.take(serde_json::from_slice(&bytes).map_err(damaged)?);
        }
        Ok(ledger)
    }

    fn take(&mut self, content: Content) {
        self.salt = content.salt;
        for Entry { dst, spi, print, oseq, seq } in content.entries {
            self.set(Key { dst, spi, print }, oseq, seq);
        }
    }

    pub(super) fn key(&self, id: &SaId, keys: &SaKeys) -> Key {
        Key { dst: id.dst, spi: id.spi.number(), print: Print::of(&self.salt, keys) }
    }

    /// The numbers of a key; `None` of one that was never used.
    pub(super) fn mark(&self, key: &Key) -> Option<Mark> {
        self.marks.get(key).copied()
    }

    /// The number behind which all of a key are free, under whatever SPI.
    pub(super) fn free_from(&self, key: &Key) -> u64 {
        self.sent.get(&key.print).copied().unwrap_or_default()
    }

    /// Raises the numbers of a key; they never fall. Kept with the next [`Ledger::save`].
    pub(super) fn set(&mut self, key: Key, oseq: u64, seq: u64) {
        self.clock += 1;
        let mark = self.marks.entry(key).or_default();
        *mark = Mark { oseq: mark.oseq.max(oseq), seq: mark.seq.max(seq), used: self.clock };
        let sent = self.sent.entry(key.print).or_default();
        *sent = (*sent).max(mark.oseq);
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Not written: the file is as it was.
    pub fn save(&mut self) -> Result<(), LedgerError> {
        let mut entries: Vec<(&Key, &Mark)> = self.marks.iter().collect();
        entries.sort_by_key(|(_, mark)| mark.used);
        let old = entries.len().saturating_sub(MOST);
        let entry = |(key, mark): (&Key, &Mark)| {
            let Key { dst, spi, print } = *key;
            Entry { dst, spi, print, oseq: mark.oseq, seq: mark.seq }
        };
        let entries = entries.into_iter().skip(old).map(entry).collect();
        let content = Content { schema: SCHEMA, salt: self.salt, entries };
        let written = (self.prepare)()
            .and_then(|()| Ok(serde_json::to_vec(&content)?))
            .and_then(|bytes| self.store.save(&bytes));
        written.map_err(|source| LedgerError::Write { path: self.store.path().to_owned(), source })
    }
}
