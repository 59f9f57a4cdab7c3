//! New keys for a tunnel, make before break, and which generation of keys is in force.
//!
//! ```text
//! prepared   in: old, new   out: old        the peer may send with the new keys from now on
//! switching  in: old, new   out: old, new   for a moment: packets that have chosen the old SA get through
//! draining   in: old, new   out: new        until what the peer sent with the old keys has arrived
//! done       in: new        out: new
//! ```
//!
//! A phase is written down before the kernel is changed, and the kernel is then brought to what the phase says, by the
//! same plan as a configuration. So a crash or a reboot at any moment goes on where it was.
//!
//! Generation 0 is the configuration's own. A later one takes the place of `[tunnel.in]` and `[tunnel.out]` as long as
//! the configuration names the SPIs of an earlier one: retired keys never come back. A configuration that names
//! other SPIs, such as those of the newest generation, has its way.
//!
//! Not for: agreeing with the peer. Both gateways are told by their operator.

mod at;
mod converge;
mod entry;
mod error;
mod keying;
mod overlay;
mod view;

#[cfg(test)]
mod tests;

pub use at::{Deadline, Now};
pub use converge::converge;
pub use entry::{Entry, Phase, Timing};
pub use error::RotationError;
pub use keying::{KeySet, Keying};
pub use view::RotationRow;

use crate::config::Config;
use crate::instance::Instance;
use crate::record::{FileStore, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Version of the file.
const SCHEMA: u32 = 1;
/// More than the text of one entry, so that the buffer never grows and leaves copies of keys behind.
const ENTRY_BYTES: usize = 64 * 1024;

/// The generations of all tunnels, as they are on disk.
pub struct Rotations {
    store: Box<dyn Store>,
    /// Makes the directory of the store.
    prepare: Box<dyn Fn() -> io::Result<()> + Send>,
    entries: BTreeMap<String, Entry>,
    /// Tunnels whose keys are those of an entry and not the configuration's.
    applied: BTreeSet<String>,
}

/// Tunnels whose keys are not the configuration's.
pub struct Applied(BTreeSet<String>);

/// What was known of a tunnel before a rotation was begun.
pub struct Begun {
    before: Option<Entry>,
    applied: bool,
}

#[derive(Deserialize)]
struct Content {
    schema: u32,
    tunnels: BTreeMap<String, Entry>,
}

#[derive(Serialize)]
struct ContentRef<'a> {
    schema: u32,
    tunnels: &'a BTreeMap<String, Entry>,
}

impl Rotations {
    /// The file of `instance`, if there is one.
    #[must_use]
    pub fn kept(instance: &Instance) -> Option<PathBuf> {
        Some(path(instance)).filter(|path| path.exists())
    }

    /// Those of `instance`.
    ///
    /// # Errors
    /// The file cannot be read, is damaged or of another version.
    pub fn of(instance: &Instance) -> Result<Self, RotationError> {
        let store = FileStore::new(path(instance));
        let place = instance.clone();
        let prepare = move || place.make_durable_dir().map_err(io::Error::other);
        Self::open(Box::new(store), Box::new(prepare))
    }

    /// Those in `store`, whose directory `prepare` makes.
    ///
    /// # Errors
    /// As [`Rotations::of`].
    pub fn open(
        store: Box<dyn Store>,
        prepare: Box<dyn Fn() -> io::Result<()> + Send>,
    ) -> Result<Self, RotationError> {
        let bytes = store.load().map(|bytes| bytes.map(Zeroizing::new));
        let path = || store.path().to_owned();
        let bytes = bytes.map_err(|source| RotationError::Read { path: path(), source })?;
        let entries = match bytes {
            None => BTreeMap::new(),
            Some(bytes) => parse(&bytes, store.path())?,
        };
        Ok(Self { store, prepare, entries, applied: BTreeSet::new() })
    }

    /// Puts the keys in force into a configuration as it was read from its file. Returns which tunnels of the
    /// configuration before had theirs replaced.
    #[must_use = "for apply_as_before, should the configuration not be taken"]
    pub fn take_over(&mut self, config: &mut Config) -> Applied {
        let pairs = config.tunnels.iter().filter_map(|tunnel| Some((tunnel, overlay::pair(tunnel)?)));
        let overridden = pairs.filter(|(tunnel, pair)| {
            let entry = self.entries.get(&tunnel.name);
            entry.is_some_and(|entry| entry.overrides(*pair) && overlay::fits(tunnel, entry))
        });
        let applied = overridden.map(|(tunnel, _)| tunnel.name.clone()).collect();
        let before = std::mem::replace(&mut self.applied, applied);
        self.lay(config);
        Applied(before)
    }

    /// The configuration before is in force again.
    pub fn apply_as_before(&mut self, applied: Applied) {
        self.applied = applied.0;
    }

    /// Brings a configuration that was taken over to the phases of now.
    pub fn lay(&self, config: &mut Config) {
        for tunnel in &mut config.tunnels {
            if let Some(entry) = self.applied(&tunnel.name) {
                overlay::lay(tunnel, entry);
            }
        }
    }

    /// Begins a rotation; `config` is the one in force.
    ///
    /// # Errors
    /// No such tunnel, keys that do not fit or are not fresh, a rotation that is under way, or it cannot be written
    /// down. Then nothing has changed.
    pub fn begin(
        &mut self,
        tunnel: &str,
        local: IpAddr,
        keys: Keying,
        timing: Timing,
        config: &Config,
        now: &Now,
    ) -> Result<Begun, RotationError> {
        let old = overlay::check(tunnel, local, &keys, config)?;
        let before = self.entries.get(tunnel);
        if before.is_some_and(Entry::is_under_way) && self.applied.contains(tunnel) {
            return Err(RotationError::UnderWay { tunnel: tunnel.to_owned() });
        }
        let entry = Entry::begin(before, old, keys, timing, now)
            .map_err(|spi| RotationError::Used { tunnel: tunnel.to_owned(), spi })?;
        let begun = Begun { before: before.cloned(), applied: self.applied.contains(tunnel) };
        self.put(tunnel, Some(entry))?;
        Ok(begun)
    }

    /// Switches the outbound SA now.
    ///
    /// # Errors
    /// Nothing waits for it, or it cannot be written down.
    pub fn switch(&mut self, tunnel: &str, now: &Now) -> Result<(), RotationError> {
        let entry = self.prepared(tunnel)?;
        let entry = entry.advanced(now);
        self.put(tunnel, Some(entry))
    }

    /// Removes the old inbound SA now.
    ///
    /// # Errors
    /// The outbound SA has not been switched, or it cannot be written down.
    pub fn finish(&mut self, tunnel: &str, now: &Now) -> Result<(), RotationError> {
        let draining = self.applied(tunnel).filter(|entry| entry.phase() == Phase::Draining);
        let draining = draining.ok_or_else(|| RotationError::NotDraining { tunnel: tunnel.to_owned() })?;
        let entry = draining.advanced(now);
        self.put(tunnel, Some(entry))
    }

    /// Gives a rotation up that has not switched. Its keys are never taken again: the peer may have used them.
    ///
    /// # Errors
    /// There is none, or it cannot be written down.
    pub fn cancel(&mut self, tunnel: &str) -> Result<(), RotationError> {
        let entry = self.prepared(tunnel)?.cancelled();
        self.put(tunnel, Some(entry))
    }

    /// Takes a beginning back whose SA the kernel refused.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn take_back(&mut self, tunnel: &str, begun: Begun) -> Result<(), RotationError> {
        self.put(tunnel, begun.before)?;
        if !begun.applied {
            self.applied.remove(tunnel);
        }
        Ok(())
    }

    /// Moves each rotation whose time has come one phase on; true if there was one.
    ///
    /// # Errors
    /// It cannot be written down: those before it have moved, this one and those behind it have not.
    pub fn advance(&mut self, now: &Now) -> Result<bool, RotationError> {
        let due: Vec<String> =
            self.under_way().filter(|(_, entry)| entry.is_due(now)).map(|(name, _)| name.clone()).collect();
        for tunnel in &due {
            if let Some(entry) = self.entries.get(tunnel).map(|entry| entry.advanced(now)) {
                self.put(tunnel, Some(entry))?;
            }
        }
        Ok(!due.is_empty())
    }

    /// How long until [`Rotations::advance`] has something to do.
    #[must_use]
    pub fn wait(&self, now: &Now) -> Option<std::time::Duration> {
        self.under_way().filter_map(|(_, entry)| entry.wait(now)).min()
    }

    /// The entry of a tunnel.
    #[must_use]
    pub fn entry(&self, tunnel: &str) -> Option<&Entry> {
        self.entries.get(tunnel)
    }

    /// The tunnels whose keys are not the configuration's.
    #[must_use]
    pub fn rows(&self) -> Vec<RotationRow> {
        let applied = self.entries.iter().filter(|(name, _)| self.applied.contains(*name));
        applied.map(|(name, entry)| RotationRow::of(name, entry)).collect()
    }

    fn applied(&self, tunnel: &str) -> Option<&Entry> {
        self.entries.get(tunnel).filter(|_| self.applied.contains(tunnel))
    }

    fn under_way(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.entries.iter().filter(|(name, entry)| entry.is_under_way() && self.applied.contains(*name))
    }

    fn prepared(&self, tunnel: &str) -> Result<&Entry, RotationError> {
        let entry = self.applied(tunnel).filter(|entry| entry.phase() == Phase::Prepared);
        entry.ok_or_else(|| RotationError::NotPrepared { tunnel: tunnel.to_owned() })
    }

    /// Writes first: what is in memory is what is on disk.
    fn put(&mut self, tunnel: &str, entry: Option<Entry>) -> Result<(), RotationError> {
        let mut entries = self.entries.clone();
        let applied = entry.is_some();
        match entry {
            Some(entry) => drop(entries.insert(tunnel.to_owned(), entry)),
            None => drop(entries.remove(tunnel)),
        }
        let written = (self.prepare)().and_then(|()| save(self.store.as_mut(), &entries));
        written.map_err(|source| RotationError::Write { path: self.store.path().to_owned(), source })?;
        self.entries = entries;
        if applied {
            self.applied.insert(tunnel.to_owned());
        }
        Ok(())
    }
}

fn path(instance: &Instance) -> PathBuf {
    instance.durable_dir.join("rotations.json")
}

fn save(store: &mut dyn Store, entries: &BTreeMap<String, Entry>) -> io::Result<()> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(ENTRY_BYTES * (entries.len() + 1)));
    serde_json::to_writer(&mut *bytes, &ContentRef { schema: SCHEMA, tunnels: entries })?;
    store.save(&bytes)
}

fn parse(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, Entry>, RotationError> {
    let content: Content =
        serde_json::from_slice(bytes).map_err(|error| RotationError::damaged(path, &error))?;
    if content.schema != SCHEMA {
        return Err(RotationError::Schema { path: path.to_owned(), found: content.schema });
    }
    Ok(content.tunnels)
}
