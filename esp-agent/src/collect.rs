//! From maps, picture and state to a snapshot: the one reading behind metrics and `status`.

use crate::clock;
use crate::datapath::{DatapathError, maps::Maps, read};
use crate::picture::Picture;
use crate::plan::text::{mode_name, suite_text};
use crate::snapshot::{
    AgentHealth, CpuRow, DriftHealth, FlowRow, GuardRow, Guards, IfaceRow, ReasonRow, SaDetail, SaRow,
    SaState, Sequence, Snapshot, TcMode, TunnelRow, XdpMode,
};
use crate::state::State;
use crate::xfrm::model::{ESP, ObservedSa, SaDir};
use esp_common::{Direction, Guard, IfaceSlot, Mode, Settings};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

/// Reads everything. `alive` says whether the agent that wrote `state` runs.
///
/// # Errors
/// A map cannot be read.
pub fn snapshot(
    maps: &Maps,
    picture: &Picture,
    state: &State,
    alive: bool,
) -> Result<Snapshot, DatapathError> {
    let now_ns = clock::monotonic_ns();
    let (slots, settings) = (read::slots(maps)?, read::settings(maps)?);
    let names: HashMap<u32, String> =
        slots.iter().map(|(index, slot)| (*index, slot.name().to_owned())).collect();
    Ok(Snapshot {
        now_ns,
        now_s: clock::unix_s(),
        agent: alive.then(|| health(state, now_ns)),
        ifaces: slots.iter().map(|(_, slot)| iface(slot, state, settings.steer == 1)).collect(),
        guards: guards(&settings, state, now_ns),
        flows: flows(maps, &names, picture, state)?,
        reasons: reasons(maps, &names)?,
        guard_hits: guard_hits(maps, picture, state)?,
        xfrm_stat: Some(read::xfrm_stat(maps)?).filter(|rows| !rows.is_empty()),
        tunnels: tunnels(maps)?,
        rotations: state.rotations.clone(),
        cpus: cpus(maps, state)?,
        sas: count_sas(picture),
        lints: Vec::new(),
        sa_list: picture.sas.values().map(|sa| detail(sa, state)).collect(),
        tombstones: state.tombstones.clone(),
        lost: read::lost(maps)?.into_iter().map(|(table, packets)| (table.to_owned(), packets)).collect(),
        lacks: state.lacks.clone(),
    })
}

fn health(state: &State, now_ns: u64) -> AgentHealth {
    AgentHealth {
        version: state.version.clone(),
        started_s: state.started_s,
        netlink_overruns: state.netlink_overruns,
        resyncs: state.resyncs,
        events: state.events.iter().map(|(kind, count)| (kind.clone(), *count)).collect(),
        read: Duration::from_nanos(state.read_ns),
        update: Duration::from_nanos(state.update_ns),
        reloads_ok: state.reloads_ok,
        reloads_failed: state.reloads_failed,
        in_sync: state.in_sync,
        udp: state.udp.clone(),
        mirror_age: Duration::from_nanos(now_ns.saturating_sub(state.mirror_ns)),
        config: state.config.clone(),
        drift: DriftHealth {
            mode: state.reconcile.clone(),
            rows: state.drift.clone(),
            counts: state.drifts.clone(),
            repairs_ok: state.repairs_ok,
            repairs_failed: state.repairs_failed,
        },
        idle_cpus: state.steer.idle.clone(),
        moved: state.steer.moved,
        stayed: state.steer.stayed,
    }
}

fn iface(slot: &IfaceSlot, state: &State, steers: bool) -> IfaceRow {
    let name = slot.name().to_owned();
    let note = state.iface_notes.get(&name).map(String::as_str).filter(|note| !note.is_empty());
    let unsteered = (steers && slot.xdp == 0).then_some("without XDP its ESP goes to no other CPU");
    IfaceRow {
        ifindex: slot.ifindex,
        present: nix::net::if_::if_nametoindex(name.as_str()).is_ok_and(|index| index == slot.ifindex),
        attached: slot.attached == 1,
        xdp: XdpMode::of(slot),
        tc: TcMode::of(slot),
        note: note.into_iter().chain(unsteered).collect::<Vec<_>>().join("; "),
        name,
    }
}

fn guards(settings: &Settings, state: &State, now_ns: u64) -> Guards {
    Guards {
        modes: Guard::ALL.map(|guard| settings.mode(guard)),
        trusted: settings.trusted(now_ns),
        disabled: state.disabled.clone(),
    }
}

fn flows(
    maps: &Maps,
    names: &HashMap<u32, String>,
    picture: &Picture,
    state: &State,
) -> Result<Vec<FlowRow>, DatapathError> {
    let sas: HashMap<_, _> = picture.sas.values().map(|sa| ((sa.sa.id.dst, sa.sa.id.spi), &sa.sa)).collect();
    let row = |flow: read::Flow| {
        let (dst, spi) = (flow.key.dst.ip(), flow.key.spi);
        let sa = if flow.known { sas.get(&(dst, spi)) } else { None };
        let seen = Duration::from_nanos(flow.seen.last_ns.saturating_sub(flow.seen.first_ns));
        let sequence = |sight| Sequence::new(sight, sa.is_some_and(|sa| sa.esn), flow.seen.packets, seen);
        FlowRow {
            iface: names.get(&u32::from(flow.key.iface)).cloned().unwrap_or_default(),
            direction: Direction::from_raw(flow.key.direction),
            spi,
            dst,
            src: sa.map(|sa| sa.src).or_else(|| Some(flow.seen.src.ip()).filter(|src| !src.is_unspecified())),
            tunnel: if flow.known { state.tunnel(dst, spi).to_owned() } else { String::new() },
            known: flow.known,
            packets: flow.seen.packets,
            bytes: flow.seen.bytes,
            first_ns: flow.seen.first_ns,
            last_ns: flow.seen.last_ns,
            sequence: flow.sequence.map(sequence),
        }
    };
    Ok(read::flows(maps)?.into_iter().map(row).collect())
}

fn reasons(maps: &Maps, names: &HashMap<u32, String>) -> Result<Vec<ReasonRow>, DatapathError> {
    let row = |count: read::ReasonCount| ReasonRow {
        iface: names.get(&count.slot).cloned().unwrap_or_default(),
        hook: count.hook,
        reason: count.reason,
        action: count.action,
        packets: count.counter.packets,
        bytes: count.counter.bytes,
    };
    Ok(read::reasons(maps)?.into_iter().map(row).collect())
}

fn guard_hits(maps: &Maps, picture: &Picture, state: &State) -> Result<Vec<GuardRow>, DatapathError> {
    let hits = read::guard_hits(maps)?.into_iter().filter_map(|(key, counter)| {
        let named = state.policies.get(&key.policy).cloned();
        Some(GuardRow {
            guard: Guard::from_raw(key.guard)?,
            mode: Mode::from_raw(key.mode),
            policy: named.unwrap_or_else(|| picture.policy_name(key.policy)),
            packets: counter.packets,
            bytes: counter.bytes,
        })
    });
    Ok(hits.collect())
}

fn tunnels(maps: &Maps) -> Result<Vec<TunnelRow>, DatapathError> {
    let rows = read::tunnels(maps)?.into_iter().map(|(tunnel, direction, counter)| TunnelRow {
        tunnel,
        direction,
        packets: counter.packets,
        bytes: counter.bytes,
    });
    Ok(rows.collect())
}

fn cpus(maps: &Maps, state: &State) -> Result<Vec<CpuRow>, DatapathError> {
    let row = |row: read::CpuRow| CpuRow {
        cpu: row.cpu,
        sas: row.sas,
        queue: row.queue,
        handed: row.passed.handed,
        arrived: row.passed.arrived,
        dropped: row.passed.refused,
        waiting: row.waiting,
        busy_permille: state.steer.busy.get(&row.cpu).copied(),
    };
    Ok(read::cpus(maps)?.into_iter().map(row).collect())
}

fn count_sas(picture: &Picture) -> Vec<SaRow> {
    let mut counts: BTreeMap<(String, Option<Direction>, SaState), u64> = BTreeMap::new();
    for observed in picture.sas.values().filter(|observed| observed.sa.id.proto == ESP) {
        let tunnel = picture.tunnels.get(&observed.sa.id).cloned().unwrap_or_default();
        *counts.entry((tunnel, direction(observed, picture), state_of(observed, picture))).or_default() += 1;
    }
    let rows = counts.into_iter().map(|((tunnel, direction, state), count)| SaRow {
        tunnel,
        direction,
        state,
        count,
    });
    rows.collect()
}

/// The kernel's own word (Linux 6.10), else whose address it ends at.
pub(crate) fn direction(observed: &ObservedSa, picture: &Picture) -> Option<Direction> {
    let ours = |addr: &IpAddr| picture.locals.contains(addr);
    match observed.sa.dir {
        Some(SaDir::In) => Some(Direction::In),
        Some(SaDir::Out) => Some(Direction::Out),
        None if ours(&observed.sa.id.dst) => Some(Direction::In),
        None if ours(&observed.sa.src) => Some(Direction::Out),
        None => None,
    }
}

fn state_of(observed: &ObservedSa, picture: &Picture) -> SaState {
    if observed.larval {
        SaState::Larval
    } else if picture.dying.contains(&observed.sa.id) {
        SaState::Dying
    } else if observed.sa.offload.is_some_and(|offload| offload.packet) {
        SaState::Offloaded
    } else {
        SaState::Valid
    }
}

fn detail(observed: &ObservedSa, state: &State) -> SaDetail {
    let sa = &observed.sa;
    SaDetail {
        src: sa.src,
        dst: sa.id.dst,
        spi: sa.id.spi,
        proto: sa.id.proto,
        mode: mode_name(sa.mode),
        reqid: sa.reqid,
        tunnel: state.tunnel(sa.id.dst, sa.id.spi).to_owned(),
        suite: suite_text(&sa.suite),
        bytes: observed.bytes,
        packets: observed.packets,
        added_s: observed.added_s,
        used_s: observed.used_s,
        larval: observed.larval,
    }
}
