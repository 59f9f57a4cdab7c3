//! The ABI between the eBPF datapath and the control plane: plain data and its conversions.
//!
//! Byte order, said once: values that came from the wire (addresses, SPIs, ports) are kept as the bytes of
//! the wire, big-endian, inside a newtype; counts, times, indices and lengths are native-endian integers.
//! Nothing here is an `enum`, a `bool` or an `Option` when it lives in a map: codes are integers with
//! `from_raw` / `as_raw` beside them.
//!
//! Not for: parsing packets (`esp-ebpf`), talking to the kernel (`esp-agent`).
#![no_std]
#![deny(missing_docs)]

pub mod action;
pub mod addr;
pub mod budget;
pub mod classifier;
pub mod counter;
pub mod flow;
pub mod guard;
pub mod hook;
pub mod iface;
pub mod lane;
pub mod names;
pub mod newest;
#[cfg(feature = "user")]
mod pod;
pub mod reason;
pub mod sa;
pub mod sample;
pub mod selector;
pub mod sequence;
pub mod settings;
pub mod spi;
pub mod table;
pub mod transit;
pub mod wire;
pub mod xfrm_stat;

pub use action::Action;
pub use addr::{Addr, Prefix};
pub use budget::Budgets;
pub use classifier::RuleSet;
pub use counter::{Counter, FlowCounter, GuardKey, TUNNEL_DIRECTIONS};
pub use flow::{Direction, FlowKey, SeenKey};
pub use guard::{Guard, Mode};
pub use hook::Hook;
pub use iface::IfaceSlot;
pub use newest::{Newest, NewestSa, SadLayout};
pub use reason::Reason;
pub use sa::{InnerKey, SaEntry, TunnelName};
pub use sample::{Sample, Sampling};
pub use selector::{Rule, RuleAction, RuleRange, RuleTable, Selector};
pub use settings::{LARVAL_NS, LEASE_NS, Settings};
pub use spi::Spi;
pub use table::{SaLine, Shape};
pub use transit::Transit;
pub use wire::Wire;
pub use xfrm_stat::StatName;

/// Version of everything in this crate. The pin directory is named after it, and [`Settings::abi`] repeats it,
/// so that an agent never reads maps of another layout.
pub const ABI_VERSION: u32 = 4;
