//! The one record that steers the datapath.

use crate::budget::Budgets;
use crate::classifier::RuleSet;
use crate::guard::{Guard, Mode};
use crate::newest::Newest;
use crate::sample::Sampling;
use crate::wire::Wire;
use bytemuck::{Pod, Zeroable};

/// How long a picture may be trusted after the moment that it is known to be complete of.
pub const LEASE_NS: u64 = 5_000_000_000;
/// Above any tick: by so much the datapath's clock may be behind (`CONFIG_HZ` is 100 or more).
const TICK_NS: u64 = 10_000_000;

/// How long an SA may be larval: an SPI that `allocspi` has given away, without a key and without an event
/// (`net.core.xfrm_acq_expires`, 30 s unless somebody sets it).
pub const LARVAL_NS: u64 = 30_000_000_000;

/// Written by the agent, read once for each packet.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Settings {
    /// [`crate::ABI_VERSION`].
    pub abi: u32,
    /// 1 while our picture of the kernel's SAs and policies is complete.
    pub synced: u32,
    /// Until when the picture may be trusted without word from the agent, in ns of CLOCK_MONOTONIC. A guard
    /// never drops after it: an agent that died cannot know what changed since. It is [`LEASE_NS`] after the moment of
    /// which the picture is complete: all that the kernel told before it is in the maps.
    pub lease_ns: u64,
    /// [`Mode::as_raw`] for each [`Guard`].
    pub modes: [u8; 4],
    /// ns of a jiffy.
    pub tick_ns: u32,
    /// The jiffy at which CLOCK_MONOTONIC read 0: see [`Settings::now_ns`].
    pub epoch: u64,
    /// The rules for what comes in.
    pub rules_in: RuleSet,
    /// The rules for what leaves.
    pub rules_out: RuleSet,
    /// What ESP looks like on this network.
    pub wire: Wire,
    /// How many packets may come.
    pub budgets: Budgets,
    /// How many dropped packets are told.
    pub sampling: Sampling,
    /// [`crate::Transit::as_raw`].
    pub transit: u8,
    /// 1 while SAs may have CPUs of their own ([`crate::lane`]).
    pub steer: u8,
    /// Zero.
    pub pad: [u8; 2],
    /// Counts how often the map of our own addresses was changed.
    pub locals: u32,
    /// The kernel's newest SA of those that the maps are complete of; zero where that is not known.
    pub newest: Newest,
}

impl Settings {
    /// CLOCK_MONOTONIC, in ns at tick resolution, from the kernel's count of jiffies: while ticks run the kernel advances
    /// it by that same clock (`tick_do_update_jiffies64`), and a load is all that it costs.
    #[inline(always)] // one multiplication
    #[must_use]
    pub const fn now_ns(&self, jiffies: u64) -> u64 {
        jiffies.wrapping_sub(self.epoch).wrapping_mul(self.tick_ns as u64)
    }

    /// The mode that was asked for.
    #[inline(always)] // one byte load
    #[must_use]
    pub const fn mode(&self, guard: Guard) -> Mode {
        let [unknown, clear_in, clear_out, selectors] = self.modes;
        Mode::from_raw(match guard {
            Guard::UnknownSpi => unknown,
            Guard::CleartextIn => clear_in,
            Guard::CleartextOut => clear_out,
            Guard::Selectors => selectors,
        })
    }

    /// True while the picture is complete and the agent lives.
    #[inline(always)] // two compares
    #[must_use]
    pub const fn trusted(&self, now_ns: u64) -> bool {
        self.synced == 1 && now_ns < self.lease_ns
    }

    /// True when an SPI that was first seen at `ns`, and that the maps do not have, is of no SA: all SAs that the
    /// kernel had then are in the maps, and one that was larval then has its keys since, or is gone. A peer may send by
    /// a new SA before this side has given it its keys.
    #[inline(always)] // an addition and a compare
    #[must_use]
    pub const fn rules_out(&self, ns: u64) -> bool {
        ns.saturating_add(LARVAL_NS + LEASE_NS + TICK_NS) < self.lease_ns
    }

    /// The mode in force: without a trusted picture nothing is dropped.
    #[inline(always)] // two compares
    #[must_use]
    pub const fn effective(&self, guard: Guard, now_ns: u64) -> Mode {
        match self.mode(guard) {
            Mode::Enforce if !self.trusted(now_ns) => Mode::Observe,
            mode @ (Mode::Off | Mode::Observe | Mode::Enforce) => mode,
        }
    }
}

const _: () = assert!(size_of::<Settings>() == 112);
