//! The pinned maps, opened by name. They are read the same way whether an agent runs or not.

use super::{DatapathError, pins::Pins};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, PerCpuHashMap};
use esp_common::{
    Addr, Counter, FlowCounter, FlowKey, GuardKey, IfaceSlot, InnerKey, Rule, RuleRange, SaEntry, SeenKey,
    Settings, StatName, TunnelName, names,
};

/// All maps of an instance.
pub struct Maps {
    /// [`names::MAP_SETTINGS`].
    pub settings: Array<MapData, Settings>,
    /// [`names::MAP_SAS`].
    pub sas: HashMap<MapData, FlowKey, SaEntry>,
    /// [`names::MAP_LOCALS`].
    pub locals: HashMap<MapData, Addr, u32>,
    /// [`names::MAP_FLOWS`].
    pub flows: PerCpuHashMap<MapData, SeenKey, FlowCounter>,
    /// [`names::MAP_GHOSTS`].
    pub ghosts: PerCpuHashMap<MapData, SeenKey, FlowCounter>,
    /// [`names::MAP_REASONS`].
    pub reasons: PerCpuArray<MapData, Counter>,
    /// [`names::MAP_GUARD_HITS`].
    pub guard_hits: PerCpuHashMap<MapData, GuardKey, Counter>,
    /// [`names::MAP_RULES_IN`].
    pub rules_in: Array<MapData, Rule>,
    /// [`names::MAP_RULES_OUT`].
    pub rules_out: Array<MapData, Rule>,
    /// [`names::MAP_INNER`].
    pub inner: HashMap<MapData, InnerKey, RuleRange>,
    /// [`names::MAP_INNER_RULES`].
    pub inner_rules: Array<MapData, Rule>,
    /// [`names::MAP_TUNNELS`].
    pub tunnels: PerCpuArray<MapData, Counter>,
    /// [`names::MAP_TUNNEL_NAMES`].
    pub tunnel_names: Array<MapData, TunnelName>,
    /// [`names::MAP_IFACES`].
    pub ifaces: Array<MapData, IfaceSlot>,
    /// [`names::MAP_XFRM_STAT`].
    pub xfrm_stat: HashMap<MapData, StatName, u64>,
    /// [`names::MAP_LOST`].
    pub lost: PerCpuArray<MapData, u64>,
}

impl Maps {
    /// Opens all maps under `pins`.
    ///
    /// Errors: [`DatapathError::OpenMap`] with the first that is not there or not permitted.
    pub fn open(pins: &Pins) -> Result<Self, DatapathError> {
        Ok(Self {
            settings: open(pins, names::MAP_SETTINGS)?,
            sas: open(pins, names::MAP_SAS)?,
            locals: open(pins, names::MAP_LOCALS)?,
            flows: open(pins, names::MAP_FLOWS)?,
            ghosts: open(pins, names::MAP_GHOSTS)?,
            reasons: open(pins, names::MAP_REASONS)?,
            guard_hits: open(pins, names::MAP_GUARD_HITS)?,
            rules_in: open(pins, names::MAP_RULES_IN)?,
            rules_out: open(pins, names::MAP_RULES_OUT)?,
            inner: open(pins, names::MAP_INNER)?,
            inner_rules: open(pins, names::MAP_INNER_RULES)?,
            tunnels: open(pins, names::MAP_TUNNELS)?,
            tunnel_names: open(pins, names::MAP_TUNNEL_NAMES)?,
            ifaces: open(pins, names::MAP_IFACES)?,
            xfrm_stat: open(pins, names::MAP_XFRM_STAT)?,
            lost: open(pins, names::MAP_LOST)?,
        })
    }
}

fn open<M>(pins: &Pins, name: &'static str) -> Result<M, DatapathError>
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
