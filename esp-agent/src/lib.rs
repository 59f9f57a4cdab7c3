//! The control plane of the ESP fast path: configuration, plan, netlink, maps, metrics, commands.
//!
//! `raw config -> checked config -> plan -> apply {netlink, maps} -> attach`; `maps + xfrm_stat -> metrics`.
//!
//! Not for: deciding the fate of a packet (that is `esp-ebpf`).

pub mod datapath;
pub mod metrics;
pub mod ready;
pub mod net;
pub mod nl;
pub mod procfs;
pub mod cmd;
pub mod config;
pub mod apply;
pub mod config;
pub mod instance;
pub mod plan;
pub mod record;
pub mod secret;
pub mod snapshot;
pub mod status;
pub mod xfrm;
