//! The status for people: what runs, what may drop, what was seen, what was lost and what to check.

use super::align::{printable, table};
use super::hint::hint;
use super::seen::{ago, ago_s, span, tunnel_last_ns};
use crate::natt::UdpRow;
use crate::snapshot::{CpuRow, DriftHealth, FlowRow, SaDetail, Sequence, Snapshot, TcMode, XdpMode};
use crate::tombstone::Tombstone;
use esp_common::{Direction, Spi};
use std::io::{self, Write};
use std::time::Duration;

/// Ghosts that are shown.
const GHOSTS: usize = 20;
/// Rows of drift.
const DRIFTED: usize = 20;
/// SAs that are gone that are shown.
const GONE: usize = 10;
/// Lints that are shown.
const LINTS: usize = 20;
/// SAs that are shown.
const SAS: usize = 100;

/// Writes the status. Sections without content are left out; zero counters are not shown.
///
/// # Errors
/// `out` fails.
pub fn text(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    agent(snapshot, out)?;
    lacks(snapshot, out)?;
    ifaces(snapshot, out)?;
    guards(snapshot, out)?;
    tunnels(snapshot, out)?;
    rotations(snapshot, out)?;
    cpus(snapshot, out)?;
    sas(snapshot, out)?;
    sequences(snapshot, out)?;
    ghosts(snapshot, out)?;
    gone(snapshot, out)?;
    reasons(snapshot, out)?;
    guard_hits(snapshot, out)?;
    xfrm_stat(snapshot, out)?;
    lost(snapshot, out)?;
    lints(snapshot, out)
}

fn lints(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.lints.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nlints of the kernel's SAs and policies: {}", snapshot.lints.len())?;
    for lint in snapshot.lints.iter().take(LINTS) {
        writeln!(out, "  {}", printable(&lint.to_string()))?;
    }
    more(out, snapshot.lints.len(), LINTS)
}

fn agent(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let Some(health) = &snapshot.agent else {
        return writeln!(out, "agent: not running; what follows is from the kernel and the pinned maps");
    };
    let up = span(Duration::from_secs(snapshot.now_s.saturating_sub(health.started_s)));
    let config = printable(health.config.as_deref().unwrap_or("none, follows the kernel"));
    writeln!(out, "agent: running, version {}, up {up}, config: {config}", printable(&health.version))?;
    let sync = if health.in_sync { "in sync with the kernel" } else { "NOT in sync: unknown SPIs pass" };
    writeln!(out, "  SA mirror:        {sync}")?;
    writeln!(out, "  xfrm_stat mirror: {:.1} s old", health.mirror_age.as_secs_f64())?;
    writeln!(out, "  netlink:          {} overruns, {} resyncs", health.netlink_overruns, health.resyncs)?;
    writeln!(out, "  reloads:          {} ok, {} failed", health.reloads_ok, health.reloads_failed)?;
    udp(&health.udp, out)?;
    drift(&health.drift, out)
}

fn udp(rows: &[UdpRow], out: &mut dyn Write) -> io::Result<()> {
    rows.iter().try_for_each(|UdpRow { local, held, note }| {
        let what = if *held { "the kernel takes encapsulated ESP from it" } else { note.as_str() };
        writeln!(out, "  udp:              {local}: {}", printable(what))
    })
}

fn drift(health: &DriftHealth, out: &mut dyn Write) -> io::Result<()> {
    let found: u64 = health.counts.iter().map(|row| row.count).sum();
    let DriftHealth { mode, repairs_ok, repairs_failed, .. } = health;
    writeln!(
        out,
        "  drift:            {found} found, {repairs_ok} repaired, {repairs_failed} failed; reconcile = {}",
        if mode.is_empty() { "off" } else { mode }
    )?;
    for row in health.rows.iter().take(DRIFTED) {
        let next = match row.retry_s {
            Some(wait) => format!("; brought back {} times, the next try is {wait} s later", row.repairs),
            None => String::new(),
        };
        writeln!(out, "    {}{next}", printable(&row.text))?;
    }
    more(out, health.rows.len(), DRIFTED)
}

fn lacks(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.lacks.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nthis kernel lacks:")?;
    snapshot.lacks.iter().try_for_each(|lack| writeln!(out, "  {}", printable(lack)))
}

fn ifaces(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 6]> = snapshot
        .ifaces
        .iter()
        .map(|iface| {
            let state = match (iface.present, iface.attached) {
                (true, true) => "attached",
                (true, false) => "NOT attached",
                (false, _) => "GONE",
            };
            let (xdp, tc) = (iface.xdp.map_or("", XdpMode::label), iface.tc.map_or("", TcMode::label));
            [&iface.name, &iface.ifindex.to_string(), state, xdp, tc, &iface.note].map(str::to_owned)
        })
        .collect();
    section(out, "interfaces", ["NAME", "INDEX", "DATAPATH", "XDP", "TC", "NOTE"], &rows)
}

fn guards(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 2]> = snapshot
        .guards
        .iter()
        .map(|(guard, mode)| [guard.label(), mode.label()].map(str::to_owned))
        .collect();
    section(out, "guards", ["GUARD", "MODE"], &rows)?;
    let trusted = if snapshot.guards.trusted {
        "the picture of the SAs is complete: enforce drops"
    } else {
        "the picture of the SAs is NOT trusted (agent down or out of sync): nothing is dropped"
    };
    writeln!(out, "  {trusted}")?;
    snapshot.guards.disabled.iter().try_for_each(|text| writeln!(out, "  {}", printable(text)))
}

fn tunnels(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let names: std::collections::BTreeSet<&str> =
        snapshot.tunnels.iter().map(|row| row.tunnel.as_str()).collect();
    let mut rows = Vec::new();
    for name in names {
        for direction in Direction::ALL {
            let of = snapshot.tunnels.iter().filter(|row| row.tunnel == name && row.direction == direction);
            let (packets, bytes) = of.fold((0_u64, 0_u64), |sum, row| {
                (sum.0.saturating_add(row.packets), sum.1.saturating_add(row.bytes))
            });
            let last = ago(snapshot.now_ns, tunnel_last_ns(snapshot, name, direction));
            let label = direction.label().to_owned();
            rows.push([name.to_owned(), label, packets.to_string(), bytes.to_string(), last]);
        }
    }
    section(out, "tunnels", ["TUNNEL", "DIR", "PACKETS", "BYTES", "LAST SEEN"], &rows)
}

fn rotations(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.rotations.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nrotated keys:")?;
    snapshot.rotations.iter().try_for_each(|row| writeln!(out, "  {}", printable(&row.to_string())))
}

fn cpus(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let row = |row: &CpuRow| {
        let busy =
            row.busy_permille.map_or("?".to_owned(), |busy| format!("{:.1} %", f64::from(busy) / 10.0));
        let [cpu, queue] = [row.cpu, row.queue].map(|number| number.to_string());
        let [sas, handed, arrived, dropped, waiting] =
            [row.sas, row.handed, row.arrived, row.dropped, row.waiting].map(|count| count.to_string());
        [cpu, sas, busy, handed, arrived, dropped, waiting, queue]
    };
    let rows: Vec<[String; 8]> = snapshot.cpus.iter().map(row).collect();
    let head = ["CPU", "SAS", "BUSY", "HANDED", "ARRIVED", "DROPPED", "WAITING", "QUEUE"];
    section(out, "CPUs that decrypt", head, &rows)?;
    let Some(health) = snapshot.agent.as_ref().filter(|_| !rows.is_empty()) else {
        return Ok(());
    };
    writeln!(
        out,
        "  {} SAs have moved, {} did not pause when they should have",
        health.moved, health.stayed
    )?;
    health.idle_cpus.iter().try_for_each(|cpu| writeln!(out, "  CPU {cpu} does not run"))
}

fn sas(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let row = |sa: &SaDetail| {
        let state = if sa.larval { "larval, no keys yet" } else { &sa.suite };
        let (added, used) = (ago_s(snapshot.now_s, sa.added_s), ago_s(snapshot.now_s, sa.used_s));
        let ends = format!("{} -> {}", sa.src, sa.dst);
        let spi = if sa.proto == crate::xfrm::model::ESP {
            sa.spi.to_string()
        } else {
            format!("{} proto {}", sa.spi, sa.proto)
        };
        let counts = (sa.packets.to_string(), sa.bytes.to_string());
        let reqid = sa.reqid.to_string();
        [&spi, &ends, &sa.mode, &reqid, &sa.tunnel, state, &counts.0, &counts.1, &added, &used]
            .map(str::to_owned)
    };
    let rows: Vec<[String; 10]> = snapshot.sa_list.iter().take(SAS).map(row).collect();
    let head = [
        "SPI",
        "SOURCE -> DESTINATION",
        "MODE",
        "REQID",
        "TUNNEL",
        "ALGORITHMS",
        "PACKETS",
        "BYTES",
        "AGE",
        "FIRST USED",
    ];
    section(out, &format!("SAs of the kernel: {}", snapshot.sa_list.len()), head, &rows)?;
    more(out, snapshot.sa_list.len(), SAS)
}

/// Those with most to tell first.
fn sequences(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let mut told: Vec<_> =
        snapshot.flows.iter().filter_map(|flow| Some((flow, flow.sequence.as_ref()?))).collect();
    told.sort_by_key(|(flow, Sequence { sight, .. })| {
        let faults = sight.lost + sight.late + sight.duplicate + sight.old;
        (std::cmp::Reverse(faults), flow.dst, flow.spi, flow.direction)
    });
    let row = |(flow, sequence): &(&FlowRow, &Sequence)| {
        let sight = &sequence.sight;
        let exhausted = sequence.exhausted_s.map_or("?".to_owned(), |wait| span(Duration::from_secs(wait)));
        let [lost, missing, late, duplicate, old] =
            [sight.lost, sight.missing, sight.late, sight.duplicate, sight.old]
                .map(|count| count.to_string());
        [
            flow.direction.label().to_owned(),
            flow.spi.to_string(),
            flow.tunnel.clone(),
            lost,
            missing,
            late,
            duplicate,
            old,
            sight.window().to_string(),
            sight.restarts.to_string(),
            format!("{:.3} %, all in {exhausted}", sequence.used() * 100.0),
        ]
    };
    let rows: Vec<[String; 11]> = told.iter().take(SAS).map(row).collect();
    let head =
        ["DIR", "SPI", "TUNNEL", "LOST", "MISSING", "LATE", "DUPLICATE", "OLD", "WINDOW", "RESTARTS", "USED"];
    section(out, "sequence numbers", head, &rows)?;
    more(out, told.len(), SAS)
}

fn ghosts(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let mut ghosts: Vec<&FlowRow> = snapshot.flows.iter().filter(|flow| !flow.known).collect();
    ghosts.sort_by_key(|flow| (std::cmp::Reverse(flow.packets), flow.dst, flow.spi, flow.direction));
    let row = |flow: &&FlowRow| {
        let source = flow.src.map_or("?".to_owned(), |src| src.to_string());
        let stone = snapshot.tombstone(flow.dst, flow.spi);
        [
            flow.iface.clone(),
            flow.direction.label().to_owned(),
            flow.spi.to_string(),
            format!("{source} -> {}", flow.dst),
            flow.packets.to_string(),
            flow.bytes.to_string(),
            ago(snapshot.now_ns, flow.first_ns),
            ago(snapshot.now_ns, flow.last_ns),
            stone.map(|stone| was(snapshot, stone)).unwrap_or_default(),
        ]
    };
    let rows: Vec<[String; 9]> = ghosts.iter().take(GHOSTS).map(row).collect();
    let head = [
        "IFACE",
        "DIR",
        "SPI",
        "SOURCE -> DESTINATION",
        "PACKETS",
        "BYTES",
        "FIRST SEEN",
        "LAST SEEN",
        "WAS",
    ];
    section(out, &format!("ghosts, ESP flows without an SA: {}", ghosts.len()), head, &rows)?;
    more(out, ghosts.len(), GHOSTS)
}

/// Such as `site-b, deleted by a rekey 41s ago`.
fn was(snapshot: &Snapshot, stone: &Tombstone) -> String {
    let tunnel = if stone.tunnel.is_empty() { "an SA without a name" } else { &stone.tunnel };
    format!("{tunnel}, {} {} ago", stone.cause.words(), ago_s(snapshot.now_s, stone.gone_s))
}

fn gone(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let row = |stone: &Tombstone| {
        let ends = format!("{} -> {}", stone.src, stone.dst);
        let age = ago_s(snapshot.now_s, stone.gone_s);
        [
            Spi::new(stone.spi).to_string(),
            ends,
            stone.reqid.to_string(),
            stone.tunnel.clone(),
            stone.cause.words().to_owned(),
            age,
        ]
    };
    let rows: Vec<[String; 6]> = snapshot.tombstones.iter().rev().take(GONE).map(row).collect();
    let head = ["SPI", "SOURCE -> DESTINATION", "REQID", "TUNNEL", "WHAT BECAME OF IT", "AGO"];
    section(out, &format!("SAs that are gone: {}", snapshot.tombstones.len()), head, &rows)?;
    more(out, snapshot.tombstones.len(), GONE)
}

fn reasons(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 6]> = snapshot
        .reasons
        .iter()
        .filter(|row| row.packets > 0)
        .map(|row| {
            let (packets, bytes) = (row.packets.to_string(), row.bytes.to_string());
            let labels = [&row.iface, row.hook.label(), row.reason.label(), row.action.label()];
            let [iface, hook, reason, action] = labels.map(str::to_owned);
            [iface, hook, reason, action, packets, bytes]
        })
        .collect();
    section(out, "packets by reason", ["IFACE", "HOOK", "REASON", "ACTION", "PACKETS", "BYTES"], &rows)
}

fn guard_hits(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 5]> = snapshot
        .guard_hits
        .iter()
        .filter(|row| row.packets > 0)
        .map(|row| {
            let (packets, bytes) = (row.packets.to_string(), row.bytes.to_string());
            [row.guard.label(), row.mode.label(), &row.policy, &packets, &bytes].map(str::to_owned)
        })
        .collect();
    section(out, "guard hits", ["GUARD", "MODE", "POLICY", "PACKETS", "BYTES"], &rows)
}

fn xfrm_stat(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let Some(counters) = &snapshot.xfrm_stat else {
        return writeln!(out, "\nxfrm_stat: not known to this kernel (CONFIG_XFRM_STATISTICS)");
    };
    let moved: Vec<&(String, u64)> = counters.iter().filter(|(_, value)| *value > 0).collect();
    if moved.is_empty() {
        return writeln!(out, "\nxfrm_stat: all counters are zero");
    }
    writeln!(out, "\nxfrm_stat, packets that the kernel's XFRM code dropped:")?;
    for (name, value) in moved {
        let text = hint(name).unwrap_or("newer than this agent: see Documentation/networking/xfrm_proc.rst");
        writeln!(out, "  {} {value}\n    {text}", printable(name))?;
    }
    Ok(())
}

fn lost(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    let full = snapshot.lost.iter().filter(|(_, packets)| *packets > 0);
    let rows: Vec<[String; 2]> = full.map(|(table, packets)| [table.clone(), packets.to_string()]).collect();
    section(out, "uncounted, the table was full", ["TABLE", "PACKETS"], &rows)
}

/// A titled table; nothing when it has no rows.
fn section<const N: usize>(
    out: &mut dyn Write,
    title: &str,
    head: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    table(out, head, rows)
}

/// Says how many rows were left out.
fn more(out: &mut dyn Write, all: usize, shown: usize) -> io::Result<()> {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        rest => writeln!(out, "  ... and {rest} more (--json shows all)"),
    }
}
