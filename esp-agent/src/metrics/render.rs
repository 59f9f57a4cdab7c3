//! A snapshot as the text that Prometheus scrapes.

use super::cpus;
use super::names::{self, Metric};
use super::sequences;
use super::text::{Family, write_gauge};
use crate::drift::Object;
use crate::snapshot::{AgentHealth, DriftHealth, FlowRow, IfaceRow, Snapshot, TcMode, XdpMode};
use esp_common::{Direction, Mode};
use std::collections::BTreeMap;

/// Flows that get series of their own by default.
pub const SPI_SERIES: usize = 10_000;

/// Renders all families in the order of [`names::ALL`]; those without a sample are left out.
///
/// At most `spi_series` flows get series of their own, the busiest ones; the others are counted as suppressed.
#[must_use]
pub fn render(snapshot: &Snapshot, spi_series: usize) -> String {
    let mut out = String::new();
    let suppressed = spis(&snapshot.flows, spi_series, &mut out);
    sequences::render(&snapshot.flows, spi_series, &mut out);
    reasons(snapshot, &mut out);
    guard_hits(snapshot, &mut out);
    xfrm_stat(snapshot, &mut out);
    tunnels(snapshot, &mut out);
    sas(snapshot, &mut out);
    cpus::render(&snapshot.cpus, snapshot.agent.as_ref(), &mut out);
    guards(snapshot, &mut out);
    uncounted(snapshot, &mut out);
    single(names::SPI_SUPPRESSED, suppressed.flows, &mut out);
    single(names::SPI_SUPPRESSED_PACKETS, suppressed.packets, &mut out);
    attached(&snapshot.ifaces, &mut out);
    if let Some(health) = &snapshot.agent {
        agent(health, &mut out);
    }
    out
}

/// What has no series of its own.
struct Suppressed {
    flows: u64,
    packets: u64,
}

fn spis(flows: &[FlowRow], limit: usize, out: &mut String) -> Suppressed {
    let mut busiest = summed(flows);
    // Stable: flows of equal packets keep the order of their labels from scrape to scrape.
    busiest.sort_by_key(|(_, (packets, _))| std::cmp::Reverse(*packets));
    let rest = busiest.split_off(limit.min(busiest.len()));
    let (mut packets, mut bytes) = (Family::new(names::SPI_PACKETS), Family::new(names::SPI_BYTES));
    for (labels, counts) in &busiest {
        packets.add(labels.each_ref().map(String::as_str), counts.0);
        bytes.add(labels.each_ref().map(String::as_str), counts.1);
    }
    packets.write(out);
    bytes.write(out);
    let lost = rest.iter().fold(0_u64, |sum, (_, (packets, _))| sum.saturating_add(*packets));
    Suppressed { flows: rest.len() as u64, packets: lost }
}

/// Flows with their labels; those with equal labels are one.
fn summed(flows: &[FlowRow]) -> Vec<([String; 7], (u64, u64))> {
    let mut sums: BTreeMap<[String; 7], (u64, u64)> = BTreeMap::new();
    for flow in flows {
        let labels = [
            flow.iface.clone(),
            flow.direction.label().to_owned(),
            flow.spi.to_string(),
            flow.dst.to_string(),
            flow.src.map(|src| src.to_string()).unwrap_or_default(),
            flow.tunnel.clone(),
            flow.known.to_string(),
        ];
        let sum = sums.entry(labels).or_default();
        *sum = (sum.0.saturating_add(flow.packets), sum.1.saturating_add(flow.bytes));
    }
    sums.into_iter().collect()
}

fn reasons(snapshot: &Snapshot, out: &mut String) {
    let (mut packets, mut bytes) = (Family::new(names::PACKETS), Family::new(names::PACKET_BYTES));
    for row in &snapshot.reasons {
        let labels = [row.iface.as_str(), row.hook.label(), row.reason.label(), row.action.label()];
        packets.add(labels, row.packets);
        bytes.add(labels, row.bytes);
    }
    packets.write(out);
    bytes.write(out);
}

fn guard_hits(snapshot: &Snapshot, out: &mut String) {
    let (mut packets, mut bytes) = (Family::new(names::GUARD_HITS), Family::new(names::GUARD_HIT_BYTES));
    for row in &snapshot.guard_hits {
        let labels = [row.guard.label(), row.mode.label(), row.policy.as_str()];
        packets.add(labels, row.packets);
        bytes.add(labels, row.bytes);
    }
    packets.write(out);
    bytes.write(out);
}

fn xfrm_stat(snapshot: &Snapshot, out: &mut String) {
    let mut family = Family::new(names::XFRM_STAT);
    for (name, value) in snapshot.xfrm_stat.iter().flatten() {
        family.add([name], *value);
    }
    family.write(out);
}

fn tunnels(snapshot: &Snapshot, out: &mut String) {
    let (mut packets, mut bytes) = (Family::new(names::TUNNEL_PACKETS), Family::new(names::TUNNEL_BYTES));
    for row in &snapshot.tunnels {
        let labels = [row.tunnel.as_str(), row.direction.label()];
        packets.add(labels, row.packets);
        bytes.add(labels, row.bytes);
    }
    packets.write(out);
    bytes.write(out);
}

fn sas(snapshot: &Snapshot, out: &mut String) {
    let mut family = Family::new(names::SAS);
    for row in &snapshot.sas {
        let direction = row.direction.map_or("unknown", Direction::label);
        family.add([&row.tunnel, direction, row.state.label()], row.count);
    }
    family.write(out);
}

fn guards(snapshot: &Snapshot, out: &mut String) {
    let mut family = Family::new(names::GUARD_MODE);
    for (guard, asked) in snapshot.guards.iter() {
        for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
            family.add([guard.label(), mode.label()], u64::from(mode == asked));
        }
    }
    family.write(out);
    single(names::GUARDS_TRUSTED, u64::from(snapshot.guards.trusted), out);
    single(names::GUARDS_DISABLED, snapshot.guards.disabled.len() as u64, out);
}

fn uncounted(snapshot: &Snapshot, out: &mut String) {
    let mut family = Family::new(names::UNCOUNTED);
    for (table, packets) in &snapshot.lost {
        family.add([table], *packets);
    }
    family.write(out);
}

fn attached(ifaces: &[IfaceRow], out: &mut String) {
    let mut family = Family::new(names::ATTACHED);
    for iface in ifaces {
        let value = u64::from(iface.attached && iface.present);
        let modes = [iface.xdp.map(XdpMode::label), iface.tc.map(TcMode::label)];
        for mode in modes.into_iter().flatten() {
            family.add([&iface.name, mode], value);
        }
        if modes == [None, None] {
            family.add([&iface.name, "none"], 0);
        }
    }
    family.write(out);
}

fn agent(health: &AgentHealth, out: &mut String) {
    let mut build = Family::new(names::BUILD_INFO);
    build.add([&health.version], 1);
    build.write(out);
    single(names::START_TIME, health.started_s, out);
    single(names::OVERRUNS, health.netlink_overruns, out);
    single(names::RESYNCS, health.resyncs, out);
    let mut events = Family::new(names::XFRM_EVENTS);
    for (kind, count) in &health.events {
        events.add([kind], *count);
    }
    events.write(out);
    write_gauge(names::READ_SECONDS, health.read.as_secs_f64(), out);
    write_gauge(names::UPDATE_SECONDS, health.update.as_secs_f64(), out);
    let mut reloads = Family::new(names::RELOADS);
    reloads.add(["ok"], health.reloads_ok);
    reloads.add(["failed"], health.reloads_failed);
    reloads.write(out);
    drift(&health.drift, out);
    single(names::IN_SYNC, u64::from(health.in_sync), out);
    write_gauge(names::MIRROR_AGE, health.mirror_age.as_secs_f64(), out);
}

/// All kinds from the start: an alert must not wait for the first to come up.
fn drift(health: &DriftHealth, out: &mut String) {
    let (mut total, mut now) = (Family::new(names::DRIFT), Family::new(names::DRIFTED));
    for kind in ["missing", "changed", "foreign"] {
        for object in Object::KINDS {
            let counts = health.counts.iter().filter(|row| row.kind == kind && row.object == object);
            total.add([kind, object], counts.map(|row| row.count).sum());
            let rows = health.rows.iter().filter(|row| row.kind == kind && row.object == object);
            now.add([kind, object], rows.count() as u64);
        }
    }
    total.write(out);
    now.write(out);
    let mut repairs = Family::new(names::REPAIRS);
    repairs.add(["ok"], health.repairs_ok);
    repairs.add(["failed"], health.repairs_failed);
    repairs.write(out);
}

/// Writes the one sample of a metric without labels.
fn single(metric: Metric, value: u64, out: &mut String) {
    let mut family = Family::new(metric);
    family.add([], value);
    family.write(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::ReasonRow;
    use esp_common::{Action, Hook, Reason, Spi};
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn flow(spi: u32, iface: &str, packets: u64) -> FlowRow {
        FlowRow {
            iface: iface.to_owned(),
            direction: Direction::In,
            spi: Spi::new(spi),
            dst: Ipv4Addr::new(10, 55, 55, 1).into(),
            src: None,
            tunnel: String::new(),
            known: false,
            packets,
            bytes: packets * 100,
            first_ns: 1,
            last_ns: 2,
            sequence: None,
        }
    }

    fn values<'a>(text: &'a str, name: &str) -> Vec<(&'a str, u64)> {
        let line = |line: &'a str| {
            let (series, value) = line.rsplit_once(' ')?;
            let metric = series.split('{').next()?;
            (metric == name).then(|| (series, value.parse().expect("a whole number")))
        };
        text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect()
    }

    #[test]
    fn the_busiest_flows_stay_and_the_others_are_counted() {
        let flows = vec![flow(0x1001, "eth5", 1), flow(0x1002, "eth5", 9), flow(0x1003, "eth5", 5)];
        let text = render(&Snapshot { flows, ..Snapshot::default() }, 2);
        let packets = values(&text, "esp_spi_packets_total");
        assert_eq!(packets.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [9, 5]);
        assert!(packets[0].0.contains("spi=\"0x00001002\""), "{}", packets[0].0);
        assert_eq!(values(&text, "esp_agent_spi_series_suppressed")[0].1, 1);
        assert_eq!(values(&text, "esp_agent_spi_suppressed_packets")[0].1, 1);
    }

    #[test]
    fn without_an_agent_there_is_no_health_and_without_xfrm_stat_no_counter() {
        let text = render(&Snapshot::default(), SPI_SERIES);
        for absent in ["esp_agent_build_info", "esp_agent_mirror_age_seconds", "esp_xfrm_stat_total"] {
            assert!(!text.contains(absent), "{absent}");
        }
        assert_eq!(values(&text, "esp_guards_trusted")[0].1, 0);
        assert_eq!(values(&text, "esp_guard_mode").len(), 12);
    }

    proptest! {
        #[test]
        fn no_series_is_printed_twice_and_no_packet_is_lost(
            rows in prop::collection::vec((0_u32..6, prop::sample::select(vec!["eth5", "e\"\\\n5"]), 0_u64..1 << 40), 0..40),
            limit in 0_usize..14,
        ) {
            let flows: Vec<FlowRow> = rows.iter().map(|(spi, iface, packets)| flow(*spi, iface, *packets)).collect();
            let reason = |(_, iface, packets): &(u32, &str, u64)| ReasonRow {
                iface: (*iface).to_owned(), hook: Hook::Xdp, reason: Reason::EspForeign, action: Action::Pass,
                packets: *packets, bytes: 0,
            };
            let reasons = rows.iter().map(reason).collect();
            let text = render(&Snapshot { flows, reasons, ..Snapshot::default() }, limit);
            let total: u64 = rows.iter().map(|(_, _, packets)| packets).sum();
            let sum = |name| values(&text, name).iter().map(|(_, value)| value).sum::<u64>();
            prop_assert_eq!(sum("esp_spi_packets_total") + sum("esp_agent_spi_suppressed_packets"), total);
            prop_assert_eq!(sum("esp_packets_total"), total);
            prop_assert!(values(&text, "esp_spi_packets_total").len() <= limit);
            let mut series: Vec<&str> = text.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
            series.retain(|line| !line.starts_with('#'));
            let all = series.len();
            series.sort_unstable();
            series.dedup();
            prop_assert_eq!(series.len(), all);
        }
    }
}
