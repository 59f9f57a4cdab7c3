//! `[wire]`: what ESP looks like on this network.

use crate::config::section::Section;
use esp_common::{
    Wire,
    wire::{PINGS, PORTS},
};

/// Reads it; what is not there is as RFC 3948 has it.
pub(super) fn read(root: &mut Section<'_>) -> Wire {
    let mut wire = Wire::default();
    let Some(mut table) = root.table("wire") else { return wire };
    let ports = some::<PORTS>(&mut table, "natt_ports", u16::MAX.into());
    let pings = some::<PINGS>(&mut table, "ping_spis", u8::MAX.into());
    table.finish();
    // Every place holds a port, so that none is taken for port 0.
    if let Some(first) = ports.first() {
        let port = |index| ports.get(index).unwrap_or(first);
        wire.natt_ports = std::array::from_fn(|index| u16::try_from(*port(index)).unwrap_or(Wire::NATT));
    }
    for (place, spi) in wire.ping_spis.iter_mut().zip(pings) {
        *place = u8::try_from(spi).unwrap_or(0);
    }
    wire
}

/// At most `MOST` numbers, none of them 0.
fn some<const MOST: usize>(table: &mut Section<'_>, key: &str, highest: u64) -> Vec<u64> {
    let Some(list) = table.numbers(key, &(1..=highest)) else { return Vec::new() };
    if list.value.len() > MOST {
        table.report.error(&list.at, format_args!("names more than {MOST}"));
    }
    list.value.into_iter().flatten().map(|number| number.value).collect()
}
