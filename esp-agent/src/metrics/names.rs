//! Every metric, once: name, kind, help, labels.

use std::fmt::Write as _;

/// Kind of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A metric family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// One sentence without a full stop.
    pub help: &'static str,
    /// Names of the labels, in the order in which they are printed.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($id:ident $kind:ident $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(#[doc = $help] pub const $id: Metric =
            Metric { name: $name, kind: Kind::$kind, help: $help, labels: &[$($label),*] };)+

        /// All metrics, in the order of a scrape.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

metrics! {
    SPI_PACKETS Counter "esp_spi_packets_total" ["iface", "direction", "spi", "dst", "src", "tunnel", "known"]
        "ESP packets of a flow; known is true for an SA of the kernel";
    SPI_BYTES Counter "esp_spi_bytes_total" ["iface", "direction", "spi", "dst", "src", "tunnel", "known"]
        "Bytes of the frames of a flow";
    SEQUENCE_LOST Counter "esp_sequence_lost_total" ["direction", "spi", "dst", "tunnel"]
        "Packets of an SA that never came, by its sequence numbers";
    SEQUENCE_LATE Counter "esp_sequence_late_total" ["direction", "spi", "dst", "tunnel"]
        "Packets of an SA that came behind a higher sequence number";
    SEQUENCE_DUPLICATE Counter "esp_sequence_duplicate_total" ["direction", "spi", "dst", "tunnel"]
        "Packets of an SA whose sequence number had come before";
    SEQUENCE_OLD Counter "esp_sequence_old_total" ["direction", "spi", "dst", "tunnel"]
        "Packets of an SA so far back that late and duplicate cannot be told apart";
    SEQUENCE_RESTARTS Counter "esp_sequence_restarts_total" ["direction", "spi", "dst", "tunnel"]
        "Times that the sequence numbers of an SA began anew";
    SEQUENCE_MISSING Gauge "esp_sequence_missing" ["direction", "spi", "dst", "tunnel"]
        "Sequence numbers close behind the highest one that have not come yet";
    SEQUENCE_DEPTH Gauge "esp_sequence_reorder_depth" ["direction", "spi", "dst", "tunnel"]
        "How far a late packet of an SA was behind the highest sequence number, at most";
    SEQUENCE_WINDOW Gauge "esp_sequence_window_needed" ["direction", "spi", "dst", "tunnel"]
        "Replay window in packets that would have let all late packets of an SA through";
    SEQUENCE_USED Gauge "esp_sequence_used_ratio" ["direction", "spi", "dst", "tunnel"]
        "Part of the sequence numbers of an SA that is used, from 0 to 1";
    SEQUENCE_EXHAUSTED Gauge "esp_sequence_exhaustion_seconds" ["direction", "spi", "dst", "tunnel"]
        "Time until the sequence numbers of an SA are used up at its mean rate";
    PACKETS Counter "esp_packets_total" ["iface", "hook", "reason", "action"]
        "Packets by the one reason that decided their verdict at a hook";
    PACKET_BYTES Counter "esp_packet_bytes_total" ["iface", "hook", "reason", "action"]
        "Bytes of the frames by the reason that decided their verdict at a hook";
    GUARD_HITS Counter "esp_guard_hits_total" ["guard", "mode", "policy"]
        "Packets that broke the rule of a guard, by the mode in force";
    GUARD_HIT_BYTES Counter "esp_guard_hit_bytes_total" ["guard", "mode", "policy"]
        "Bytes of the frames that broke the rule of a guard";
    XFRM_STAT Counter "esp_xfrm_stat_total" ["name"]
        "Packets dropped by the kernel's XFRM code, as in /proc/net/xfrm_stat";
    TUNNEL_PACKETS Counter "esp_tunnel_packets_total" ["tunnel", "direction"]
        "ESP packets of a tunnel, across rekeys and restarts";
    TUNNEL_BYTES Counter "esp_tunnel_bytes_total" ["tunnel", "direction"]
        "Bytes of the ESP frames of a tunnel, across rekeys and restarts";
    SAS Gauge "esp_sas" ["tunnel", "direction", "state"]
        "Security Associations of the kernel";
    STEER_SAS Gauge "esp_steer_sas" ["cpu"]
        "Security Associations that a CPU decrypts";
    STEER_HANDED Counter "esp_steer_handed_packets_total" ["cpu"]
        "Packets handed to the queue of a CPU";
    STEER_ARRIVED Counter "esp_steer_arrived_packets_total" ["cpu"]
        "Packets that came out of the queue of a CPU";
    STEER_DROPPED Counter "esp_steer_dropped_packets_total" ["cpu"]
        "Packets that found the queue of a CPU full";
    STEER_QUEUED Gauge "esp_steer_queued_packets" ["cpu"]
        "Packets on their way to a CPU";
    STEER_BUSY Gauge "esp_steer_cpu_busy_ratio" ["cpu"]
        "Part of the last second that a CPU was busy, whatever with";
    STEER_MOVES Counter "esp_steer_moves_total" ["result"]
        "SAs that should have changed their CPU; result is moved, or stayed for want of a pause";
    GUARD_MODE Gauge "esp_guard_mode" ["guard", "mode"]
        "1 for the mode that is asked for, 0 for the others";
    GUARDS_TRUSTED Gauge "esp_guards_trusted" []
        "1 while the picture of the SAs is complete and the agent lives, so that enforce drops";
    GUARDS_DISABLED Gauge "esp_guards_disabled" []
        "Reasons for which a guard was turned off, as status lists them";
    UNCOUNTED Counter "esp_agent_uncounted_packets_total" ["table"]
        "Packets that found no room in a table of the datapath";
    SPI_SUPPRESSED Gauge "esp_agent_spi_series_suppressed" []
        "Flows without a series of their own because there are too many";
    SPI_SUPPRESSED_PACKETS Gauge "esp_agent_spi_suppressed_packets" []
        "Packets of the flows without a series of their own";
    ATTACHED Gauge "esp_agent_datapath_attached" ["iface", "mode"]
        "1 while the program is attached; mode is native, generic, tcx, clsact, or none before the first time";
    BUILD_INFO Gauge "esp_agent_build_info" ["version"]
        "Always 1";
    START_TIME Gauge "esp_agent_start_time_seconds" []
        "When the agent started, in seconds since the epoch";
    OVERRUNS Counter "esp_agent_netlink_overruns_total" []
        "Times that the kernel had more events than the netlink socket could hold";
    RESYNCS Counter "esp_agent_resyncs_total" []
        "Full re-reads of the kernel's SAs and policies";
    XFRM_EVENTS Counter "esp_agent_xfrm_events_total" ["kind"]
        "Events of the kernel about SAs and policies; kind unknown is one of a newer kernel";
    READ_SECONDS Gauge "esp_agent_read_seconds" []
        "Time that the last full reading of SAs and policies took";
    UPDATE_SECONDS Gauge "esp_agent_update_seconds" []
        "Time that the last change took from its first event to the maps";
    RELOADS Counter "esp_agent_reloads_total" ["result"]
        "Reloads of the configuration; result is ok or failed";
    DRIFT Counter "esp_agent_drift_total" ["kind", "object"]
        "SAs and policies of the configuration that others undid; kind is missing, changed or foreign";
    DRIFTED Gauge "esp_agent_drifted" ["kind", "object"]
        "SAs and policies that are not as the configuration wants them";
    REPAIRS Counter "esp_agent_repairs_total" ["result"]
        "SAs and policies that were brought back; result is ok or failed";
    IN_SYNC Gauge "esp_agent_mirror_in_sync" []
        "1 while the maps hold all SAs and policies of the kernel";
    MIRROR_AGE Gauge "esp_agent_mirror_age_seconds" []
        "Time since the mirror of xfrm_stat was written";
}

/// The table of the README.
#[must_use]
pub fn markdown() -> String {
    let mut table = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in ALL {
        let labels = metric.labels.join(", ");
        writeln!(table, "| `{}` | {} | {labels} | {} |", metric.name, metric.kind.label(), metric.help)
            .expect("writing to a string cannot fail");
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_counters_end_in_total_and_names_are_unique() {
        for metric in ALL {
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(metric.name.starts_with("esp_"), "{}", metric.name);
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
            assert_eq!(ALL.iter().filter(|twin| twin.name == metric.name).count(), 1, "{}", metric.name);
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_metric() {
        let table = markdown();
        assert_eq!(table.lines().count(), ALL.len() + 2);
        let row = "| `esp_packets_total` | counter | iface, hook, reason, action | Packets by the one reason";
        assert!(table.lines().any(|line| line.starts_with(row)), "{table}");
    }
}
