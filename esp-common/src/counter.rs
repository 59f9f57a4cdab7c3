//! Counters as the maps hold them, one value for each CPU.

use crate::{Action, Guard, Hook, Mode, Reason, addr::Addr, reason::REASON_SLOTS};
use bytemuck::{Pod, Zeroable};

/// Packets and bytes (bytes of the frame as the hook saw it).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What was seen of one flow, on one CPU.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct FlowCounter {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// First seen, in nanoseconds of CLOCK_MONOTONIC (tick resolution); 0 where this CPU never saw the flow.
    pub first_ns: u64,
    /// Last seen, in the same clock.
    pub last_ns: u64,
    /// The source address of the first packet.
    pub src: Addr,
}

impl FlowCounter {
    /// Of a flow that was never seen.
    pub const NOTHING: Self = Self { packets: 0, bytes: 0, first_ns: 0, last_ns: 0, src: Addr::UNSPECIFIED };

    /// Adds up two CPUs: the earlier first packet names the source.
    #[must_use]
    pub const fn merge(&self, other: &Self) -> Self {
        let ours = self.packets > 0 && (other.packets == 0 || self.first_ns <= other.first_ns);
        let earlier = if ours { self } else { other };
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
            first_ns: earlier.first_ns,
            last_ns: if self.last_ns > other.last_ns { self.last_ns } else { other.last_ns },
            src: earlier.src,
        }
    }
}

/// Key of a guard's hits.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Pod, Zeroable)]
pub struct GuardKey {
    /// The kernel's index of the policy that was broken; 0 if the guard knows no policy.
    pub policy: u32,
    /// [`crate::Guard::as_raw`].
    pub guard: u8,
    /// [`crate::Mode::as_raw`] as it was in force for the packet.
    pub mode: u8,
    /// Zero.
    pub pad: [u8; 2],
}

/// Counters of a tunnel: in, then out ([`crate::Direction::as_raw`]).
pub const TUNNEL_DIRECTIONS: u32 = 2;

/// Actions for each reason in the reason counters.
const ACTIONS: usize = Action::ALL.len();

/// Reason counters of one interface.
pub const REASON_COUNTERS_PER_IFACE: u32 = (Hook::ALL.len() * REASON_SLOTS * ACTIONS) as u32;

/// Index into the reason counters.
#[inline(always)] // three multiplications by constants
#[must_use]
pub const fn reason_index(slot: u32, hook: Hook, reason: Reason, action: Action) -> u32 {
    let hook = (hook as usize * REASON_SLOTS + reason as usize) * ACTIONS + action as usize;
    slot.wrapping_mul(REASON_COUNTERS_PER_IFACE).wrapping_add(hook as u32)
}

/// Index into the counters of hits that name no policy.
#[inline(always)] // one shift
#[must_use]
pub const fn hit_index(guard: Guard, mode: Mode) -> u32 {
    (guard as u32) << 2 | mode as u32
}

const _: () = {
    assert!(hit_index(Guard::Selectors, Mode::Enforce) < crate::names::HITS);
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<FlowCounter>() == 48);
    assert!(size_of::<GuardKey>() == 8);
};
