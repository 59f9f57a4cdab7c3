//! Brings the maps to what they should hold, so that a reader never misses a live SA.

use super::{
    DatapathError, grace,
    image::{Change, Image, SaImage},
    in_force::InForce,
    maps::{Maps, on},
    ranges::Ranges,
    table::{Beside, Table, annex},
    tunnels::Tunnels,
};
use crate::steer::Steering;
use esp_common::{
    Addr, FlowKey, InnerKey, Rule, RuleRange, RuleTable, SaEntry, SeenKey, Settings, lane::Lane, names,
};
use std::collections::{BTreeMap, HashSet};

/// Keeps what the maps hold, so that a change costs what it changes.
pub struct Filler {
    maps: Maps,
    tunnels: Tunnels,
    ranges: Ranges,
    table: Table,
    steering: Steering,
    locals: BTreeMap<Addr, u32>,
    inner: BTreeMap<InnerKey, RuleRange>,
    rules_in: InForce,
    rules_out: InForce,
    settings: Settings,
}

impl Filler {
    /// Takes the maps over as an earlier agent left them, not in sync until [`Filler::settings`] says so.
    ///
    /// Errors: a map cannot be read or written.
    pub fn open(mut maps: Maps) -> Result<Self, DatapathError> {
        let settings = maps.settings.get(&0, 0).map_err(on("read", names::MAP_SETTINGS))?;
        maps.ghosts.prepare();
        let settings = Settings { abi: esp_common::ABI_VERSION, synced: 0, ..settings };
        maps.settings.set(0, settings, 0).map_err(on("write", names::MAP_SETTINGS))?;
        let inner: BTreeMap<_, _> =
            maps.inner.iter().collect::<Result<_, _>>().map_err(on("read", names::MAP_INNER))?;
        Ok(Self {
            tunnels: Tunnels::read(&maps)?,
            ranges: Ranges::found(inner.values().copied()),
            table: table(&mut maps)?,
            steering: Steering::default(),
            locals: maps.locals.iter().collect::<Result<_, _>>().map_err(on("read", names::MAP_LOCALS))?,
            inner,
            rules_in: InForce::default(),
            rules_out: InForce::default(),
            settings,
            maps,
        })
    }

    /// The maps.
    #[must_use]
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// The maps, for what is not part of an image (interfaces, the xfrm_stat mirror).
    pub fn maps_mut(&mut self) -> &mut Maps {
        &mut self.maps
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings.
    ///
    /// Errors: the map cannot be written.
    pub fn set(&mut self, change: impl FnOnce(&mut Settings)) -> Result<(), DatapathError> {
        change(&mut self.settings);
        self.maps.settings.set(0, self.settings, 0).map_err(on("write", names::MAP_SETTINGS))
    }

    /// Writes what differs: what is gone makes room for what is new, rule sets by switching halves.
    ///
    /// Returns sentences about what found no room. Errors: a map cannot be written.
    pub fn fill(&mut self, image: &Image) -> Result<Vec<String>, DatapathError> {
        let mut notes = image.notes.clone();
        self.sync_locals(image, &mut notes)?;
        let inner = self.place_inner(&image.inner, &mut notes)?;
        sync(&mut self.maps.inner, &mut self.inner, inner, names::MAP_INNER, &mut notes)?;
        self.sync_sas(&image.sas, &mut notes)?;
        self.switch_rules(image)?;
        notes.extend([&self.rules_in, &self.rules_out].into_iter().filter_map(InForce::note));
        Ok(notes)
    }

    /// Writes what a few SAs change, in the same order. False when something found no room: then all is to be filled.
    ///
    /// # Errors
    /// A map cannot be written.
    pub fn patch(&mut self, change: &Change) -> Result<bool, DatapathError> {
        for (key, rules) in &change.inner {
            if rules.len() > names::INNER_RULES_PER_SA as usize {
                return Ok(false);
            }
            let (range, writes) = self.ranges.one(rules);
            self.write_inner(&writes)?;
            let Some(range) = range else { return Ok(false) };
            if !put(&mut self.maps.inner, &mut self.inner, *key, range, names::MAP_INNER)? {
                return Ok(false);
            }
        }
        for (key, sa) in &change.sas {
            if !self.put_sa(key, sa)? {
                return Ok(false);
            }
        }
        for key in &change.gone {
            self.remove_sa(key)?;
        }
        for key in &change.inner_gone {
            take(&mut self.maps.inner, &mut self.inner, key, names::MAP_INNER)?;
        }
        Ok(true)
    }

    /// Forgets flows whose SA is gone.
    ///
    /// Errors: a map cannot be read or written.
    pub fn forget(&mut self, flows: &[SeenKey]) -> Result<(), DatapathError> {
        let keys: Vec<_> = flows.iter().map(|flow| FlowKey::new(flow.dst, flow.spi)).collect();
        let Maps { sas, flows: rows, .. } = &mut self.maps;
        self.table.forget(&keys, &mut Beside { sas, flows: rows, steering: &mut self.steering });
        let gone: HashSet<_> = flows.iter().collect();
        let listed = rows.keys().collect::<Result<Vec<_>, _>>().map_err(on("read", names::MAP_FLOWS))?;
        for row in listed.iter().filter(|row| gone.contains(&SeenKey { pad: 0, ..**row })) {
            match rows.remove(row) {
                Ok(()) | Err(aya::maps::MapError::KeyNotFound) => {}
                Err(source) => return Err(on("remove from", names::MAP_FLOWS)(source)),
            }
        }
        Ok(())
    }

    /// The table of SAs.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Who says which CPU decrypts which SA.
    pub fn steering(&mut self) -> &mut Steering {
        &mut self.steering
    }

    /// The datapath keeps the map's answers until it is told of a change, also of one that has failed half way.
    fn sync_locals(&mut self, image: &Image, notes: &mut Vec<String>) -> Result<(), DatapathError> {
        let wanted: BTreeMap<_, _> = image.locals.iter().map(|addr| (*addr, 1)).collect();
        let same = self.locals == wanted;
        let synced = sync(&mut self.maps.locals, &mut self.locals, wanted, names::MAP_LOCALS, notes);
        if !same {
            self.set(|settings| settings.locals = settings.locals.wrapping_add(1))?;
        }
        synced
    }

    /// As [`sync`] does with a map.
    fn sync_sas(
        &mut self,
        wanted: &BTreeMap<FlowKey, SaImage>,
        notes: &mut Vec<String>,
    ) -> Result<(), DatapathError> {
        let gone: Vec<_> = self.table.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in gone {
            self.remove_sa(&key)?;
        }
        let mut full = 0_usize;
        for (key, sa) in wanted {
            full += usize::from(!self.put_sa(key, sa)?);
        }
        note_full(names::MAP_SAS, full, notes);
        Ok(())
    }

    /// Puts an SA into the table, on the CPU that is to decrypt it. False when it found no room.
    fn put_sa(&mut self, key: &FlowKey, sa: &SaImage) -> Result<bool, DatapathError> {
        let tunnel = self.tunnels.number(&mut self.maps, &sa.tunnel)?;
        let entry = SaEntry { tunnel, flags: sa.flags };
        self.steering.wish(*key, sa.wish);
        let Maps { sas, flows, .. } = &mut self.maps;
        let mut annex = Beside { sas, flows, steering: &mut self.steering };
        let fits = self.table.set(key, &entry, &mut annex)?;
        let Some(slot) = self.table.slot(key) else {
            self.steering.leave(key);
            return Ok(fits);
        };
        let lines = self.table.lines();
        // As an earlier agent left it, or not steered before.
        if self.steering.is_open(key) || (lines.lane(slot) != Lane::HERE && !self.steering.knows(key)) {
            self.steering.adopt(*key, slot, lines.calm(slot).cpu());
        }
        Ok(fits)
    }

    fn remove_sa(&mut self, key: &FlowKey) -> Result<(), DatapathError> {
        self.steering.leave(key);
        let Maps { sas, flows, .. } = &mut self.maps;
        self.table.remove(key, &mut Beside { sas, flows, steering: &mut self.steering })
    }

    fn write_inner(&mut self, writes: &[(u32, Vec<Rule>)]) -> Result<(), DatapathError> {
        for (first, rules) in writes {
            for (index, rule) in (*first..).zip(rules) {
                self.maps.inner_rules.set(index, rule, 0).map_err(on("write", names::MAP_INNER_RULES))?;
            }
        }
        Ok(())
    }

    /// Writes the lists that are new; an SA whose list finds no room is left out and so passes unchecked.
    fn place_inner(
        &mut self,
        inner: &BTreeMap<InnerKey, Vec<Rule>>,
        notes: &mut Vec<String>,
    ) -> Result<BTreeMap<InnerKey, RuleRange>, DatapathError> {
        let round = self.ranges.round(inner.values().map(Vec::as_slice));
        self.write_inner(&round.writes)?;
        let range_of =
            |rules: &[Rule]| round.ranges.get(bytemuck::cast_slice::<_, u8>(rules)).copied().flatten();
        let placed: BTreeMap<_, _> =
            inner.iter().filter_map(|(key, rules)| Some((*key, range_of(rules)?))).collect();
        if placed.len() < inner.len() {
            let left = inner.len() - placed.len();
            notes
                .push(format!("guard selectors passes {left} SAs unchecked: the table of selectors is full"));
        }
        Ok(placed)
    }

    /// Sets are written where no packet reads, then the settings switch to them.
    fn switch_rules(&mut self, image: &Image) -> Result<(), DatapathError> {
        let mut settings = self.settings;
        let fresh = [
            self.rules_in.compile(&image.rules_in, RuleTable::In, &mut settings.rules_in),
            self.rules_out.compile(&image.rules_out, RuleTable::Out, &mut settings.rules_out),
        ];
        if fresh.iter().flatten().next().is_some() {
            // A packet may still read what was in force before the last switch.
            grace::wait();
        }
        for (bank, set) in fresh.iter().flatten() {
            self.maps.banks.write(*bank, set)?;
        }
        if settings != self.settings {
            self.set(|current| *current = settings)?;
        }
        self.rules_in.hold(&image.rules_in);
        self.rules_out.hold(&image.rules_out);
        Ok(())
    }
}

/// Removes what is gone, then puts what is new or changed. A full map is said, not an error: what is missing in it
/// is passed by the datapath, never dropped, only when the picture is marked incomplete, which the caller does. `held` stays
/// what the map holds, whatever fails: what found no room is tried again, and said again, the next time.
fn sync<K, V>(
    map: &mut aya::maps::HashMap<aya::maps::MapData, K, V>,
    held: &mut BTreeMap<K, V>,
    wanted: BTreeMap<K, V>,
    name: &'static str,
    notes: &mut Vec<String>,
) -> Result<(), DatapathError>
where
    K: aya::Pod + Ord,
    V: aya::Pod + PartialEq,
{
    let gone: Vec<K> = held.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
    for key in gone {
        take(map, held, &key, name)?;
    }
    let mut full = 0_usize;
    for (key, value) in wanted {
        full += usize::from(!put(map, held, key, value, name)?);
    }
    note_full(name, full, notes);
    Ok(())
}

fn note_full(name: &str, full: usize, notes: &mut Vec<String>) {
    if full > 0 {
        notes.push(format!("{FULL} {name}: {full} entries have no room; raise its size in [maps]"));
    }
}

/// The table of SAs as an earlier agent left it.
pub(super) fn table(maps: &mut Maps) -> Result<Table, DatapathError> {
    let (index, lines) = (maps.sa_index.clone(), maps.lines());
    let Maps { sas, flows, sa_limit, .. } = maps;
    Table::open(index, lines, *sa_limit, &mut Beside { sas, flows, steering: &mut Steering::default() })
}

/// Puts one entry; false when it found no room.
fn put<K, V>(
    map: &mut aya::maps::HashMap<aya::maps::MapData, K, V>,
    held: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    name: &'static str,
) -> Result<bool, DatapathError>
where
    K: aya::Pod + Ord,
    V: aya::Pod + PartialEq,
{
    if held.get(&key) == Some(&value) {
        return Ok(true);
    }
    match map.insert(key, value, 0) {
        Ok(()) => {
            held.insert(key, value);
            Ok(true)
        }
        Err(source) if annex::is_full(&source) => Ok(false),
        Err(source) => Err(on("write", name)(source)),
    }
}

fn take<K: aya::Pod + Ord, V: aya::Pod>(
    map: &mut aya::maps::HashMap<aya::maps::MapData, K, V>,
    held: &mut BTreeMap<K, V>,
    key: &K,
    name: &'static str,
) -> Result<(), DatapathError> {
    // To remove what is not there is an error of the system call, which aya does not tell from others.
    if !held.contains_key(key) {
        return Ok(());
    }
    match map.remove(key) {
        Ok(()) | Err(aya::maps::MapError::KeyNotFound) => {}
        Err(source) => return Err(on("remove from", name)(source)),
    }
    held.remove(key);
    Ok(())
}

/// How a note about a full map begins: the picture is incomplete while one stands.
pub const FULL: &str = "map is full:";
