//! The control plane of the ESP fast path: configuration, plan, netlink, maps, metrics, commands.
//!
//! `raw config -> checked config -> plan -> apply {netlink, maps} -> attach`; `maps + xfrm_stat -> metrics`.
//!
//! Not for: deciding the fate of a packet (that is `esp-ebpf`).

pub mod apply;
pub mod cmd;
pub mod config;
pub mod datapath;
pub mod instance;
pub mod metrics;
pub mod net;
pub mod nl;
pub mod plan;
pub mod procfs;
pub mod ready;
pub mod record;
pub mod secret;
pub mod snapshot;
pub mod status;
pub mod xfrm;
