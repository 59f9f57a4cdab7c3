//! The pinned maps, opened by name. They are read the same way whether an agent runs or not.

use super::{
    DatapathError,
    banks::Banks,
    flat::Flat,
    ghosts::Ghosts,
    mapped::Mapped,
    pins::Pins,
    queues::Queues,
    table::{self, Lines, Shared},
};
use aya::maps::{
    Array, HashMap, Map, MapData, MapError, MapInfo, PerCpuArray, PerCpuHashMap, xdp::DevMapHash,
};
use esp_common::{
    Addr, Counter, FlowCounter, FlowKey, GuardKey, IfaceSlot, InnerKey, Rule, RuleRange, SeenKey, Settings,
    StatName, TunnelName, names,
};
use std::sync::{Arc, atomic::Ordering};

/// All maps of an instance.
pub struct Maps {
    /// [`names::MAP_SETTINGS`].
    pub settings: Array<MapData, Settings>,
    /// [`names::MAP_SA_INDEX`].
    pub sa_index: Arc<Mapped>,
    /// [`names::MAP_SA_LINES`].
    pub sa_lines: Arc<Mapped>,
    /// What there is of each slot on all CPUs together.
    pub shared: Shared,
    /// [`names::MAP_SAS`].
    pub sas: HashMap<MapData, FlowKey, u32>,
    /// SAs that the table may hold.
    pub sa_limit: u32,
    /// [`names::MAP_LOCALS`].
    pub locals: HashMap<MapData, Addr, u32>,
    /// [`names::MAP_FLOWS`].
    pub flows: PerCpuHashMap<MapData, SeenKey, FlowCounter>,
    /// [`names::MAP_GHOSTS`].
    pub ghosts: Ghosts,
    /// [`names::MAP_REASONS`].
    pub reasons: Flat,
    /// [`names::MAP_HITS`].
    pub hits: Flat,
    /// [`names::MAP_GUARD_HITS`].
    pub guard_hits: PerCpuHashMap<MapData, GuardKey, Counter>,
    /// [`names::MAP_RULE_LINES`] and [`names::MAP_RULE_WORDS`].
    pub banks: Banks,
    /// [`names::MAP_INNER`].
    pub inner: HashMap<MapData, InnerKey, RuleRange>,
    /// [`names::MAP_INNER_RULES`].
    pub inner_rules: Array<MapData, Rule>,
    /// [`names::MAP_TUNNELS`].
    pub tunnels: Flat,
    /// [`names::MAP_TUNNEL_NAMES`].
    pub tunnel_names: Array<MapData, TunnelName>,
    /// [`names::MAP_IFACES`].
    pub ifaces: Array<MapData, IfaceSlot>,
    /// [`names::MAP_XFRM_STAT`].
    pub xfrm_stat: HashMap<MapData, StatName, u64>,
    /// [`names::MAP_LOST`].
    pub lost: PerCpuArray<MapData, u64>,
    /// [`names::MAP_PORTS`].
    pub ports: DevMapHash<MapData>,
    /// Queues of CPUs.
    pub queues: Queues,
}

impl Maps {
    /// Opens all maps under `pins`.
    ///
    /// Errors: [`DatapathError::OpenMap`] with the first that is not there or not permitted.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        let reasons = Flat::new(map(pins, names::MAP_REASONS)?, names::REASONS);
        Ok(Self {
            settings: open(pins, names::MAP_SETTINGS)?,
            sa_index: Arc::new(map(pins, names::MAP_SA_INDEX)?),
            sa_lines: Arc::new(map(pins, names::MAP_SA_LINES)?),
            shared: shared(pins)?,
            sas: open(pins, names::MAP_SAS)?,
            sa_limit: size(pins, names::MAP_SAS)?,
            locals: open(pins, names::MAP_LOCALS)?,
            flows: open(pins, names::MAP_FLOWS)?,
            ghosts: Ghosts::new(Arc::new(map(pins, names::MAP_GHOSTS)?), reasons.cpus()),
            reasons,
            hits: Flat::new(map(pins, names::MAP_HITS)?, names::HITS),
            guard_hits: open(pins, names::MAP_GUARD_HITS)?,
            banks: Banks::new(pinned(pins, names::MAP_RULE_LINES)?, pinned(pins, names::MAP_RULE_WORDS)?),
            inner: open(pins, names::MAP_INNER)?,
            inner_rules: open(pins, names::MAP_INNER_RULES)?,
            tunnels: Flat::new(map(pins, names::MAP_TUNNELS)?, names::TUNNEL_COUNTERS),
            tunnel_names: open(pins, names::MAP_TUNNEL_NAMES)?,
            ifaces: open(pins, names::MAP_IFACES)?,
            xfrm_stat: open(pins, names::MAP_XFRM_STAT)?,
            lost: open(pins, names::MAP_LOST)?,
            ports: open(pins, names::MAP_PORTS)?,
            queues: Queues::open(pins)?,
        })
    }
}

impl Maps {
    /// The lines of the table of SAs.
    #[must_use]
    pub fn lines(&self) -> Lines {
        // All of these maps are made for the same CPUs.
        Lines::new(self.sa_lines.clone(), self.shared.clone(), self.reasons.cpus())
    }

    /// [`esp_common::Shape::moves`].
    #[must_use]
    pub fn moves(&self) -> u64 {
        let shape = (*self.sa_index).as_ref();
        shape.get(table::MOVES).map_or(0, |word| word.load(Ordering::Acquire))
    }
}

pub(super) fn shared(pins: &Pins) -> Result<Shared, DatapathError> {
    Shared::new(|name| Ok(Arc::new(map(pins, name)?)))
}

pub(super) fn map(pins: &Pins, name: &'static str) -> Result<Mapped, DatapathError> {
    Mapped::of(&pinned(pins, name)?, name)
}

fn pinned(pins: &Pins, name: &'static str) -> Result<MapData, DatapathError> {
    let failed = |source| DatapathError::OpenMap { name, dir: pins.dir().to_path_buf(), source };
    MapData::from_pin(pins.map(name)).map_err(failed)
}

fn size(pins: &Pins, name: &'static str) -> Result<u32, DatapathError> {
    MapInfo::from_pin(pins.map(name)).map(|info| info.max_entries()).map_err(on("look at", name))
}

pub(super) fn open<M>(pins: &Pins, name: &'static str) -> Result<M, DatapathError>
where
    M: TryFrom<Map, Error = MapError>,
{
    MapData::from_pin(pins.map(name))
        .and_then(Map::from_map_data)
        .and_then(M::try_from)
        .map_err(|source| DatapathError::OpenMap { name, dir: pins.dir().to_path_buf(), source })
}

/// Names the map in an error.
pub(super) fn on(what: &'static str, name: &'static str) -> impl Fn(MapError) -> DatapathError {
    move |source| DatapathError::Map { what, name, source }
}
