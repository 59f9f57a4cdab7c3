//! The datapath on this host, over memory.

use crate::{
    tables::{Bytes, Memory, Seen},
    world::World,
};
use esp_common::{Action, Hook, InnerKey};
use esp_datapath::{Link, Place};

/// Some time after the start of the clock, before any lease but one that has expired.
pub const NOW_NS: u64 = 1_000_000;

/// Sends one frame through `hook`: the action, and all that was counted.
#[must_use]
pub fn run(world: &World, hook: Hook, frame: &[u8], decrypted_by: Option<InnerKey>) -> (Action, Seen) {
    let memory = Memory::new(world.clone());
    let action =
        pass(&memory, &place(world), hook, &Bytes { frame, decrypted_by, in_sad: None, steered: false });
    (action, memory.seen())
}

/// Sends one frame through `hook`.
pub fn pass(memory: &Memory, place: &Place<'_>, hook: Hook, packet: &Bytes<'_>) -> Action {
    match hook {
        Hook::Xdp => esp_datapath::xdp(packet, memory, place),
        Hook::TcIngress => esp_datapath::tc_ingress(packet, memory, place),
        Hook::TcEgress => esp_datapath::tc_egress(packet, memory, place),
    }
}

/// Where the programs stand in `world`.
#[must_use]
pub fn place(world: &World) -> Place<'_> {
    let link = if world.constants.no_ethernet { Link::Ip } else { Link::Ethernet };
    Place {
        iface: 0,
        link,
        outer_at_tc: world.constants.outer_at_tc,
        settings: &world.settings,
        now_ns: NOW_NS,
    }
}
