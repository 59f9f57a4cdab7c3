//! The maps of a loaded object by handles of their own, as the agent holds them.

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf,
    maps::{HashMap, Map, MapData, PerCpuHashMap},
};
use esp_agent::steer::Steering;
use esp_agent::{
    config::Sizes,
    datapath::{
        banks::Banks,
        cpus,
        flat::Flat,
        ghosts::Ghosts,
        mapped::Mapped,
        table::{self, Lines, Shared, Table},
    },
};
use esp_common::{FlowCounter, FlowKey, SeenKey, names};
use std::sync::Arc;

/// What the table of SAs needs, and the flat counters.
pub(super) struct Beside {
    sas: HashMap<MapData, FlowKey, u32>,
    flows: PerCpuHashMap<MapData, SeenKey, FlowCounter>,
    pub(super) lines: Lines,
    pub(super) ghosts: Ghosts,
    pub(super) reasons: Flat,
    pub(super) hits: Flat,
    pub(super) tunnels: Flat,
    pub(super) banks: Banks,
    steering: Steering,
}

impl Beside {
    /// Opens them, and a table that is new.
    pub(super) fn of(ebpf: &Ebpf, sizes: &Sizes) -> Result<(Self, Table)> {
        let flat = |name, of_a_cpu| Ok::<_, anyhow::Error>(Flat::new(mapped(ebpf, name)?, of_a_cpu));
        let index = Arc::new(mapped(ebpf, names::MAP_SA_INDEX)?);
        let cpus = cpus::count()?;
        let shared = Shared::new(|name| anyhow::Ok(Arc::new(mapped(ebpf, name)?)))?;
        let lines = Lines::new(Arc::new(mapped(ebpf, names::MAP_SA_LINES)?), shared, cpus);
        let mut beside = Self {
            sas: HashMap::try_from(Map::from_map_data(handle(ebpf, names::MAP_SAS)?)?)?,
            flows: PerCpuHashMap::try_from(Map::from_map_data(handle(ebpf, names::MAP_FLOWS)?)?)?,
            lines: lines.clone(),
            ghosts: Ghosts::new(Arc::new(mapped(ebpf, names::MAP_GHOSTS)?), cpus),
            reasons: flat(names::MAP_REASONS, names::REASONS)?,
            hits: flat(names::MAP_HITS, names::HITS)?,
            tunnels: flat(names::MAP_TUNNELS, names::TUNNEL_COUNTERS)?,
            banks: Banks::new(handle(ebpf, names::MAP_RULE_LINES)?, handle(ebpf, names::MAP_RULE_WORDS)?),
            steering: Steering::default(),
        };
        beside.ghosts.prepare();
        let table = Table::open(index, lines, sizes.sas, &mut beside.annex())?;
        Ok((beside, table))
    }

    /// What the table edits beside itself.
    pub(super) fn annex(&mut self) -> table::Beside<'_> {
        table::Beside { sas: &mut self.sas, flows: &mut self.flows, steering: &mut self.steering }
    }
}

fn mapped(ebpf: &Ebpf, name: &'static str) -> Result<Mapped> {
    Ok(Mapped::of(&handle(ebpf, name)?, name)?)
}

/// Another handle of a map.
fn handle(ebpf: &Ebpf, name: &str) -> Result<MapData> {
    let map = ebpf.map(name).with_context(|| format!("the object has no map {name}"))?;
    let (Map::Array(data) | Map::HashMap(data) | Map::PerCpuHashMap(data)) = map else {
        bail!("{name} is another kind of map: {map:?}");
    };
    Ok(MapData::from_id(data.info()?.id())?)
}
