//! `lifetime = {}` of an SA or a policy.

use crate::config::report::Located;
use crate::config::scalar;
use crate::config::section::Section;
use crate::xfrm::model::Limits;

/// Reads the limits that are named; the others are infinite.
pub(super) fn read(section: &mut Section<'_>) -> Limits {
    let Some(mut table) = section.table("lifetime") else { return Limits::default() };
    let limits = Limits {
        soft_bytes: scalar::bytes(&mut table, "soft_bytes"),
        hard_bytes: scalar::bytes(&mut table, "hard_bytes"),
        soft_packets: count(&mut table, "soft_packets"),
        hard_packets: count(&mut table, "hard_packets"),
        soft_add_s: time(&mut table, "soft_time"),
        hard_add_s: time(&mut table, "hard_time"),
        soft_use_s: time(&mut table, "soft_use_time"),
        hard_use_s: time(&mut table, "hard_use_time"),
    };
    let pairs = [
        ("soft_bytes", limits.soft_bytes, limits.hard_bytes),
        ("soft_packets", limits.soft_packets, limits.hard_packets),
        ("soft_time", limits.soft_add_s, limits.hard_add_s),
        ("soft_use_time", limits.soft_use_s, limits.hard_use_s),
    ];
    for (key, soft, hard) in pairs {
        if let (Some(soft), Some(hard)) = (soft, hard)
            && soft >= hard
        {
            table.report.error(&table.place(key), "is not below its hard limit: nothing would warn in time");
        }
    }
    table.finish();
    limits
}

fn count(table: &mut Section<'_>, key: &str) -> Option<u64> {
    table.number(key, 1..=i64::MAX.unsigned_abs()).map(|count| count.value)
}

fn time(table: &mut Section<'_>, key: &str) -> Option<u64> {
    table.text(key, scalar::seconds).map(|Located { value, .. }| value.as_secs())
}
