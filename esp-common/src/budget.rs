//! How many packets may come: the record that budgets are configured by.

use bytemuck::{Pod, Zeroable};

/// Part of [`crate::Settings`]. An interval of 0 is no budget.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Budgets {
    /// ns between two packets of an SA.
    pub sa_ns: u32,
    /// ns between two packets of a peer, by the outer source.
    pub peer_ns: u32,
    /// ns between two packets whose SPI no SA has, all of them together.
    pub unknown_ns: u32,
    /// By how many ns packets may be ahead: a burst is as much as comes in this time at the rate of the budget.
    pub burst_ns: u32,
}

impl Budgets {
    /// The shortest burst: the datapath's clock goes by ticks, of 10 ms where they are longest.
    pub const SHORTEST_NS: u32 = 20_000_000;

    /// The interval of a rate in packets per second; 0 is no budget.
    #[must_use]
    pub const fn interval_ns(rate: u32) -> u32 {
        match 1_000_000_000_u32.checked_div(rate) {
            Some(interval) => interval,
            None => 0,
        }
    }
}

const _: () = assert!(size_of::<Budgets>() == 16);
