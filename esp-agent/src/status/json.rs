//! The status for programs. The schema only grows: a field is added without notice, one that goes or changes its
//! meaning raises [`SCHEMA`].

use super::hint::hint;
use crate::lint::Finding;
use crate::natt::UdpRow;
use crate::rotation::RotationRow;
use crate::snapshot::{
    self, AgentHealth, CpuRow, DriftHealth, FlowRow, GuardRow, IfaceRow, ReasonRow, SaDetail, SaRow,
    Snapshot, TcMode, TunnelRow, XdpMode,
};
use crate::state::{DriftCount, DriftRow};
use crate::tombstone::Tombstone;
use esp_common::{Direction, Guard, Mode, Spi, sequence::Sight};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::IpAddr;

/// Version of the schema.
pub const SCHEMA: u32 = 1;

/// Writes the status as one JSON document and a newline.
///
/// # Errors
/// `out` fails.
pub fn json(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Status::from(snapshot))?;
    writeln!(out)
}

#[derive(Serialize)]
struct Status<'a> {
    schema: u32,
    now_monotonic_ns: u64,
    now_unix_s: u64,
    agent: Option<Agent<'a>>,
    lacks: &'a [String],
    interfaces: Vec<Iface<'a>>,
    guards: Guards<'a>,
    tunnels: Vec<Tunnel<'a>>,
    rotations: &'a [RotationRow],
    cpus: &'a [CpuRow],
    sa_counts: Vec<SaCount<'a>>,
    sas: Vec<Sa<'a>>,
    flows: Vec<Flow<'a>>,
    reasons: Vec<Reason<'a>>,
    guard_hits: Vec<GuardHit<'a>>,
    xfrm_stat: Option<Vec<XfrmStat<'a>>>,
    uncounted: Vec<Uncounted<'a>>,
    tombstones: Vec<Gone<'a>>,
    lints: &'a [Finding],
}

impl<'a> From<&'a Snapshot> for Status<'a> {
    fn from(from: &'a Snapshot) -> Self {
        let stat = |counters: &'a Vec<(String, u64)>| counters.iter().map(XfrmStat::from).collect();
        Self {
            schema: SCHEMA,
            now_monotonic_ns: from.now_ns,
            now_unix_s: from.now_s,
            agent: from.agent.as_ref().map(Agent::from),
            lacks: &from.lacks,
            interfaces: from.ifaces.iter().map(Iface::from).collect(),
            guards: Guards::from(&from.guards),
            tunnels: from.tunnels.iter().map(Tunnel::from).collect(),
            rotations: &from.rotations,
            cpus: &from.cpus,
            sa_counts: from.sas.iter().map(SaCount::from).collect(),
            sas: from.sa_list.iter().map(Sa::from).collect(),
            flows: from.flows.iter().map(Flow::from).collect(),
            reasons: from.reasons.iter().map(Reason::from).collect(),
            guard_hits: from.guard_hits.iter().map(GuardHit::from).collect(),
            xfrm_stat: from.xfrm_stat.as_ref().map(stat),
            uncounted: from
                .lost
                .iter()
                .map(|(table, packets)| Uncounted { table, packets: *packets })
                .collect(),
            tombstones: from.tombstones.iter().map(Gone::from).collect(),
            lints: &from.lints,
        }
    }
}

/// A struct whose fields are made from the fields of a row.
macro_rules! row {
    ($name:ident from $row:ident as $from:ident { $($field:ident: $kind:ty = $value:expr,)+ }) => {
        #[derive(Serialize)]
        struct $name<'a> {
            $($field: $kind,)+
        }

        impl<'a> From<&'a $row> for $name<'a> {
            fn from($from: &'a $row) -> Self {
                Self { $($field: $value),+ }
            }
        }
    };
}

row! { Agent from AgentHealth as row {
    version: &'a str = &row.version,
    started_unix_s: u64 = row.started_s,
    config: Option<&'a str> = row.config.as_deref(),
    in_sync: bool = row.in_sync,
    mirror_age_s: f64 = row.mirror_age.as_secs_f64(),
    netlink_overruns: u64 = row.netlink_overruns,
    resyncs: u64 = row.resyncs,
    xfrm_events: BTreeMap<&'a str, u64> = row.events.iter().map(|(kind, count)| (kind.as_str(), *count)).collect(),
    read_s: f64 = row.read.as_secs_f64(),
    update_s: f64 = row.update.as_secs_f64(),
    reloads_ok: u64 = row.reloads_ok,
    reloads_failed: u64 = row.reloads_failed,
    udp: &'a [UdpRow] = &row.udp,
    drift: Drift<'a> = Drift::from(&row.drift),
    idle_cpus: &'a [u32] = &row.idle_cpus,
    sas_moved: u64 = row.moved,
    sas_stayed: u64 = row.stayed,
}}

row! { Drift from DriftHealth as row {
    mode: &'a str = &row.mode,
    now: &'a [DriftRow] = &row.rows,
    found: &'a [DriftCount] = &row.counts,
    repairs_ok: u64 = row.repairs_ok,
    repairs_failed: u64 = row.repairs_failed,
}}

row! { Iface from IfaceRow as row {
    name: &'a str = &row.name,
    ifindex: u32 = row.ifindex,
    present: bool = row.present,
    attached: bool = row.attached,
    xdp: Option<&'static str> = row.xdp.map(XdpMode::label),
    tc: Option<&'static str> = row.tc.map(TcMode::label),
    note: &'a str = &row.note,
}}

#[derive(Serialize)]
struct Guards<'a> {
    modes: BTreeMap<&'static str, &'static str>,
    trusted: bool,
    disabled: &'a [String],
}

impl<'a> From<&'a crate::snapshot::Guards> for Guards<'a> {
    fn from(from: &'a crate::snapshot::Guards) -> Self {
        let labels = |(guard, mode): (Guard, Mode)| (guard.label(), mode.label());
        Self { modes: from.iter().map(labels).collect(), trusted: from.trusted, disabled: &from.disabled }
    }
}

row! { Tunnel from TunnelRow as row {
    tunnel: &'a str = &row.tunnel,
    direction: &'static str = row.direction.label(),
    packets: u64 = row.packets,
    bytes: u64 = row.bytes,
}}

row! { SaCount from SaRow as row {
    tunnel: &'a str = &row.tunnel,
    direction: &'static str = row.direction.map_or("unknown", Direction::label),
    state: &'static str = row.state.label(),
    count: u64 = row.count,
}}

row! { Sa from SaDetail as row {
    spi: String = row.spi.to_string(),
    src: IpAddr = row.src,
    dst: IpAddr = row.dst,
    proto: u8 = row.proto,
    mode: &'a str = &row.mode,
    reqid: u32 = row.reqid,
    tunnel: &'a str = &row.tunnel,
    suite: &'a str = &row.suite,
    larval: bool = row.larval,
    packets: u64 = row.packets,
    bytes: u64 = row.bytes,
    added_unix_s: u64 = row.added_s,
    used_unix_s: Option<u64> = Some(row.used_s).filter(|time| *time != 0),
}}

row! { Flow from FlowRow as row {
    iface: &'a str = &row.iface,
    direction: &'static str = row.direction.label(),
    spi: String = row.spi.to_string(),
    dst: IpAddr = row.dst,
    src: Option<IpAddr> = row.src,
    tunnel: &'a str = &row.tunnel,
    known: bool = row.known,
    packets: u64 = row.packets,
    bytes: u64 = row.bytes,
    first_monotonic_ns: Option<u64> = Some(row.first_ns).filter(|time| *time != 0),
    last_monotonic_ns: Option<u64> = Some(row.last_ns).filter(|time| *time != 0),
    sequence: Option<Sequence> = row.sequence.as_ref().map(Sequence::from),
}}

/// What sequence numbers tell.
#[derive(Serialize)]
struct Sequence {
    lost: u64,
    missing: u64,
    late: u64,
    duplicate: u64,
    old: u64,
    restarts: u32,
    reorder_depth: u32,
    window_needed: u64,
    used_ratio: f64,
    exhaustion_s: Option<u64>,
}

impl From<&snapshot::Sequence> for Sequence {
    fn from(from: &snapshot::Sequence) -> Self {
        let Sight { lost, missing, late, duplicate, old, depth, restarts, .. } = from.sight;
        let (window_needed, used_ratio) = (from.sight.window(), from.used());
        let exhaustion_s = from.exhausted_s;
        Self {
            lost,
            missing,
            late,
            duplicate,
            old,
            restarts,
            reorder_depth: depth,
            window_needed,
            used_ratio,
            exhaustion_s,
        }
    }
}

row! { Gone from Tombstone as row {
    spi: String = Spi::new(row.spi).to_string(),
    src: IpAddr = row.src,
    dst: IpAddr = row.dst,
    reqid: u32 = row.reqid,
    tunnel: &'a str = &row.tunnel,
    gone_unix_s: u64 = row.gone_s,
    cause: &'static str = row.cause.label(),
}}

row! { Reason from ReasonRow as row {
    iface: &'a str = &row.iface,
    hook: &'static str = row.hook.label(),
    reason: &'static str = row.reason.label(),
    action: &'static str = row.action.label(),
    packets: u64 = row.packets,
    bytes: u64 = row.bytes,
}}

row! { GuardHit from GuardRow as row {
    guard: &'static str = row.guard.label(),
    mode: &'static str = row.mode.label(),
    policy: &'a str = &row.policy,
    packets: u64 = row.packets,
    bytes: u64 = row.bytes,
}}

#[derive(Serialize)]
struct XfrmStat<'a> {
    name: &'a str,
    value: u64,
    hint: Option<&'static str>,
}

impl<'a> From<&'a (String, u64)> for XfrmStat<'a> {
    fn from((name, value): &'a (String, u64)) -> Self {
        Self { name, value: *value, hint: hint(name) }
    }
}

#[derive(Serialize)]
struct Uncounted<'a> {
    table: &'a str,
    packets: u64,
}
