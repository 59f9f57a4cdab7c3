//! The control plane of the ESP fast path: configuration, plan, netlink, maps, metrics, commands.
//!
//! `raw config -> checked config -> plan -> apply {netlink, maps} -> attach`; `maps + xfrm_stat -> metrics`.
//!
//! Not for: deciding the fate of a packet (that is `esp-ebpf`).

pub mod apply;
pub mod cli;
pub mod clock;
pub mod cmd;
pub mod collect;
pub mod config;
pub mod control;
pub mod cpu_list;
pub mod cpu_time;
pub mod datapath;
pub mod drift;
pub mod drops;
pub mod engine;
pub mod failure;
pub mod install;
pub mod instance;
pub mod keys;
pub mod lint;
pub mod log;
pub mod metrics;
pub mod mirror;
pub mod monitor;
pub mod mtu;
pub mod natt;
pub mod net;
pub mod nl;
pub mod pair;
pub mod picture;
pub mod plan;
pub mod privilege;
pub mod probe;
pub mod procfs;
pub mod ready;
pub mod record;
pub mod rotation;
pub mod secret;
pub mod sequence;
pub mod shared;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod steer;
pub mod stitch;
pub mod supervise;
pub mod sweep;
pub mod tombstone;
pub mod trial;
pub mod xfrm;
