//! Recorded traffic through the datapath on the host: the counts are those that another program found.

use esp_common::{Counter, Hook, Reason};
use esp_tests::{
    host, pcap,
    recorded::{self, Recorded},
    tables::{Bytes, Memory},
    world::{World, addr},
};
use std::collections::HashMap;

#[test]
fn captures_count_as_recorded_in_transit() {
    for recorded in &recorded::ALL {
        replay(recorded, &World::lab(), Reason::EspForeign);
    }
}

#[test]
fn captures_count_as_recorded_with_their_sas() {
    for recorded in &recorded::ALL {
        let world = recorded.flows.iter().fold(World::lab(), |world, (dst, spi, _)| world.sa(dst, *spi));
        replay(recorded, &world, Reason::EspKnown);
    }
}

fn replay(recorded: &Recorded, world: &World, esp: Reason) {
    let memory = Memory::new(world.clone());
    for frame in pcap::capture(recorded.name).expect("the capture") {
        host::pass(
            &memory,
            &host::place(world),
            Hook::Xdp,
            &Bytes { frame: &frame, decrypted_by: None, in_sad: None, steered: false },
        );
    }
    let seen = memory.seen();
    let mut reasons: HashMap<Reason, Counter> = HashMap::new();
    for (_, reason, _, len) in &seen.reasons {
        let counter = reasons.entry(*reason).or_default();
        counter.packets += 1;
        counter.bytes += u64::from(*len);
    }
    let total = recorded
        .flows
        .iter()
        .map(|(_, _, counter)| *counter)
        .reduce(|a, b| Counter { packets: a.packets + b.packets, bytes: a.bytes + b.bytes });
    let expected = recorded.others.iter().copied().chain(total.map(|counter| (esp, counter))).collect();
    assert_eq!(reasons, expected, "{}", recorded.name);
    let flows: Vec<_> = seen
        .flows
        .iter()
        .map(|((key, _), flow)| (key.dst, key.spi.number(), flow.packets, flow.bytes))
        .collect();
    let expected: Vec<_> = recorded
        .flows
        .iter()
        .map(|(dst, spi, counter)| (addr(dst), *spi, counter.packets, counter.bytes))
        .collect();
    assert_eq!(flows, expected, "{}", recorded.name);
}
