//! Fills the maps that the agent fills.

use super::Kernel;
use crate::world::World;
use anyhow::{Context as _, Result, anyhow, ensure};
use aya::{
    Pod,
    maps::{Array, HashMap, MapData},
};
use esp_agent::datapath::{
    classifier::{Full, compile},
    clock,
};
use esp_common::{Addr, FlowKey, Rule, RuleTable, SaEntry, Settings, names};
use std::collections::BTreeMap;

impl Kernel {
    /// Brings the maps to `world`. The constants were set when the programs were loaded.
    ///
    /// Errors: the kernel's.
    pub fn tell(&mut self, world: &World) -> Result<()> {
        let told = std::mem::replace(&mut self.told, world.clone());
        for key in told.sas.keys().filter(|key| !world.sas.contains_key(key)) {
            self.remove_sa(key)?;
        }
        for (key, sa) in world.sas.iter().filter(|(key, _)| !key.spi.is_zero()) {
            self.set_sa(key, sa)?;
        }
        self.replace(names::MAP_LOCALS, &marks(&told), &marks(world))?;
        self.locals += 1;
        self.replace(names::MAP_INNER, &told.inner, &world.inner)?;
        for (index, rule) in (0..).zip(&world.inner_rules) {
            self.set(names::MAP_INNER_RULES, index, *rule)?;
        }
        let World { settings, rules_in, rules_out, .. } = world;
        for (table, rules, old, set) in [
            (RuleTable::In, rules_in, &told.rules_in, settings.rules_in),
            (RuleTable::Out, rules_out, &told.rules_out, settings.rules_out),
        ] {
            if let Some(bank) = set.bank().filter(|_| rules != old) {
                self.put_rules(rules, table, bank)?;
            }
        }
        self.set_settings(world.settings)
    }

    /// Writes rules into a bank that is not in force, or while no packet passes.
    ///
    /// Errors: the kernel's; the bank has no room for them.
    pub fn put_rules(&mut self, rules: &[Rule], table: RuleTable, bank: u32) -> Result<()> {
        let set = compile(rules, table).map_err(|Full(what)| anyhow!("no room for {what}"))?;
        Ok(self.maps.banks.write(bank, &set)?)
    }

    /// Writes the settings, with the time of this kernel.
    ///
    /// Errors: the kernel's.
    pub fn set_settings(&mut self, mut settings: Settings) -> Result<()> {
        let program = self.ebpf.program(names::PROG_CLOCK).context("no such program")?;
        clock::set(program.try_into()?, &mut settings)?;
        settings.locals = self.locals;
        self.set(names::MAP_SETTINGS, 0, settings)
    }

    /// Puts an SA into the table.
    ///
    /// Errors: the kernel's; the table has no room.
    pub fn set_sa(&mut self, key: &FlowKey, sa: &SaEntry) -> Result<()> {
        ensure!(self.table.set(key, sa, &mut self.maps.annex())?, "no room for {key:?}");
        Ok(())
    }

    /// Takes an SA out of the table.
    ///
    /// Errors: the kernel's.
    pub fn remove_sa(&mut self, key: &FlowKey) -> Result<()> {
        Ok(self.table.remove(key, &mut self.maps.annex())?)
    }

    /// Writes an element of an array.
    ///
    /// Errors: no such map, or the kernel's.
    pub fn set<V: Pod>(&mut self, map: &str, index: u32, value: V) -> Result<()> {
        let map = self.ebpf.map_mut(map).context("no such map")?;
        Array::<&mut MapData, V>::try_from(map)?.set(index, value, 0).map_err(|error| anyhow!(error))
    }

    /// Writes an entry of a hash map.
    ///
    /// Errors: no such map, or the kernel's.
    pub fn insert<K: Pod, V: Pod>(&mut self, map: &str, key: K, value: V) -> Result<()> {
        let map = self.ebpf.map_mut(map).context("no such map")?;
        HashMap::<&mut MapData, K, V>::try_from(map)?.insert(key, value, 0).map_err(|error| anyhow!(error))
    }

    fn replace<K, V>(&mut self, map: &str, old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> Result<()>
    where
        K: Pod + Ord,
        V: Pod,
    {
        let map = self.ebpf.map_mut(map).context("no such map")?;
        let mut map = HashMap::<&mut MapData, K, V>::try_from(map)?;
        for key in old.keys().filter(|key| !new.contains_key(key)) {
            map.remove(key)?;
        }
        for (key, value) in new {
            map.insert(key, value, 0)?;
        }
        Ok(())
    }
}

fn marks(world: &World) -> BTreeMap<Addr, u32> {
    world.locals.iter().map(|addr| (*addr, 1)).collect()
}
