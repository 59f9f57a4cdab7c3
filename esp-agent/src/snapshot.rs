//! All that was read from the BPF maps and the kernel at one moment, as plain data.
//!
//! `maps + kernel -> Snapshot -> {metrics, status}`. Nothing here touches the kernel and nothing here has room for a key.

use crate::lint::Finding;
use crate::natt::UdpRow;
use crate::rotation::RotationRow;
use crate::state::{DriftCount, DriftRow};
use crate::tombstone::Tombstone;
use esp_common::{Action, Direction, Guard, Hook, IfaceSlot, Mode, Reason, Spi, sequence::Sight};
use serde::Serialize;
use std::net::IpAddr;
use std::time::Duration;

/// One look at everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// When it was taken, in ns of `CLOCK_MONOTONIC`: the clock of [`FlowRow::last_ns`].
    pub now_ns: u64,
    /// When it was taken, in seconds since the epoch: the clock of [`SaDetail::added_s`].
    pub now_s: u64,
    /// The running agent; `None` when there is none.
    pub agent: Option<AgentHealth>,
    /// Interfaces that the agent has or had.
    pub ifaces: Vec<IfaceRow>,
    /// The guards and whether they may drop.
    pub guards: Guards,
    /// Counters of each ESP flow.
    pub flows: Vec<FlowRow>,
    /// Counters of each reason.
    pub reasons: Vec<ReasonRow>,
    /// Packets that broke a guard's rule.
    pub guard_hits: Vec<GuardRow>,
    /// /proc/net/xfrm_stat in its own order; `None` on a kernel without `CONFIG_XFRM_STATISTICS`.
    pub xfrm_stat: Option<Vec<(String, u64)>>,
    /// Counters of each tunnel.
    pub tunnels: Vec<TunnelRow>,
    /// Tunnels whose keys are not the configuration's.
    pub rotations: Vec<RotationRow>,
    /// CPUs that decrypt SAs.
    pub cpus: Vec<CpuRow>,
    /// How many SAs there are.
    pub sas: Vec<SaRow>,
    /// The SAs one by one.
    pub sa_list: Vec<SaDetail>,
    /// SAs that are gone, the oldest first.
    pub tombstones: Vec<Tombstone>,
    /// Packets that found no room in a table, by the table's name.
    pub lost: Vec<(String, u64)>,
    /// What this kernel lacks, one sentence each.
    pub lacks: Vec<String>,
    /// What is unwise in the kernel's SAs and policies; only `status` looks for it.
    pub lints: Vec<Finding>,
}

impl Snapshot {
    /// What is known of an SPI that no SA has any more.
    #[must_use]
    pub fn tombstone(&self, dst: IpAddr, spi: Spi) -> Option<&Tombstone> {
        self.tombstones.iter().find(|stone| stone.dst == dst && stone.spi == spi.number())
    }
}

/// A source of a snapshot failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {what}")]
pub struct SnapshotError {
    /// The map, file or socket.
    pub what: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Counters of one ESP flow on one interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowRow {
    /// Interface.
    pub iface: String,
    /// Direction.
    pub direction: Direction,
    /// SPI.
    pub spi: Spi,
    /// Outer destination.
    pub dst: IpAddr,
    /// Outer source of the first packet, if one was seen.
    pub src: Option<IpAddr>,
    /// Tunnel; empty if none.
    pub tunnel: String,
    /// True for an SA of the kernel, false for a ghost.
    pub known: bool,
    /// Packets.
    pub packets: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// First seen, in ns of `CLOCK_MONOTONIC`; 0 is never.
    pub first_ns: u64,
    /// Last seen, in the same clock.
    pub last_ns: u64,
    /// What the sequence numbers of its SA tell; one flow of each SA has it.
    pub sequence: Option<Sequence>,
}

/// What the sequence numbers of an SA tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sequence {
    /// As the datapath saw it.
    pub sight: Sight,
    /// Extended: 64 bits of them, else 32 (RFC 4303 section 2.2.1).
    pub esn: bool,
    /// Seconds until they are used up at the mean rate so far; `None` before there is one.
    pub exhausted_s: Option<u64>,
}

impl Sequence {
    /// What it tells of an SA that was seen for so long.
    #[must_use]
    pub fn new(sight: Sight, esn: bool, packets: u64, seen: Duration) -> Self {
        let left = if esn { u64::MAX - sight.highest } else { u64::from(u32::MAX - sight.highest as u32) };
        let wait = u128::from(left) * seen.as_millis() / u128::from(packets.max(1)) / 1000;
        let known = packets > 0 && seen >= MEANINGFUL;
        Self { sight, esn, exhausted_s: known.then(|| u64::try_from(wait).unwrap_or(u64::MAX)) }
    }

    /// The part of the numbers that is used, from 0 to 1. Of extended ones it is what was seen of them.
    #[must_use]
    pub fn used(&self) -> f64 {
        if self.esn {
            self.sight.highest as f64 / u64::MAX as f64
        } else {
            f64::from(self.sight.highest as u32) / f64::from(u32::MAX)
        }
    }
}

/// A rate over less than this is none.
const MEANINGFUL: Duration = Duration::from_secs(1);

/// Counters of one reason at one hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReasonRow {
    /// Interface.
    pub iface: String,
    /// Hook.
    pub hook: Hook,
    /// Reason.
    pub reason: Reason,
    /// Verdict.
    pub action: Action,
    /// Packets.
    pub packets: u64,
    /// Bytes of frames.
    pub bytes: u64,
}

/// Hits of one guard on one policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardRow {
    /// Guard.
    pub guard: Guard,
    /// The mode that was in force.
    pub mode: Mode,
    /// The policy in words; empty if the guard knows none.
    pub policy: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of frames.
    pub bytes: u64,
}

/// Counters of one tunnel in one direction; they go on across rekeys and restarts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TunnelRow {
    /// Tunnel.
    pub tunnel: String,
    /// Direction.
    pub direction: Direction,
    /// Packets.
    pub packets: u64,
    /// Bytes of frames.
    pub bytes: u64,
}

/// A CPU that packets of SAs are handed to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CpuRow {
    /// Its number.
    pub cpu: u32,
    /// SAs that it decrypts.
    pub sas: u64,
    /// Packets that one of its queues holds at most.
    pub queue: u32,
    /// Packets that were handed to it.
    pub handed: u64,
    /// Packets that have arrived.
    pub arrived: u64,
    /// Packets that found its queue full.
    pub dropped: u64,
    /// Packets that are on their way.
    pub waiting: u64,
    /// Thousandths of the last second that it was busy, if an agent told.
    pub busy_permille: Option<u32>,
}

/// State of an SA.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SaState {
    /// In use.
    Valid,
    /// Has no keys yet (`alloc-spi` or an acquire).
    Larval,
    /// Past a soft limit: due for a rekey.
    Dying,
    /// The NIC does the work, its ESP never passes the hooks.
    Offloaded,
}

impl SaState {
    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Larval => "larval",
            Self::Dying => "dying",
            Self::Offloaded => "offloaded",
        }
    }
}

/// Number of SAs of one tunnel, direction and state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaRow {
    /// Tunnel; empty if none.
    pub tunnel: String,
    /// Direction; `None` where neither the kernel nor an address tells it.
    pub direction: Option<Direction>,
    /// State.
    pub state: SaState,
    /// SAs.
    pub count: u64,
}

/// One SA of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaDetail {
    /// Source.
    pub src: IpAddr,
    /// Destination.
    pub dst: IpAddr,
    /// SPI.
    pub spi: Spi,
    /// IP protocol number: 50 is ESP.
    pub proto: u8,
    /// Mode in words, such as `tunnel`.
    pub mode: String,
    /// Request id.
    pub reqid: u32,
    /// Tunnel; empty if none.
    pub tunnel: String,
    /// Algorithms in words, such as `cbc(aes)+hmac(sha256)`.
    pub suite: String,
    /// Bytes that it has transformed.
    pub bytes: u64,
    /// Packets that it has transformed.
    pub packets: u64,
    /// When it was added, in seconds since the epoch.
    pub added_s: u64,
    /// When it was first used, in seconds since the epoch; 0 is never.
    pub used_s: u64,
    /// Has no keys yet.
    pub larval: bool,
}

/// How an XDP program is attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// In the generic receive path.
    Generic,
}

impl XdpMode {
    /// That of an interface; `None` for TC only.
    #[must_use]
    pub const fn of(slot: &IfaceSlot) -> Option<Self> {
        match slot.xdp {
            IfaceSlot::XDP_NATIVE | IfaceSlot::XDP_NATIVE_FRAGS => Some(Self::Native),
            IfaceSlot::XDP_GENERIC => Some(Self::Generic),
            _ => None,
        }
    }

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// How the TC programs are attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TcMode {
    /// TCX links (Linux 6.6).
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

impl TcMode {
    /// That of an interface; `None` before it was attached.
    #[must_use]
    pub const fn of(slot: &IfaceSlot) -> Option<Self> {
        match slot.tc {
            IfaceSlot::TC_TCX => Some(Self::Tcx),
            IfaceSlot::TC_CLSACT => Some(Self::Clsact),
            _ => None,
        }
    }

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// One interface of the agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfaceRow {
    /// Name.
    pub name: String,
    /// Index in the kernel when the programs were attached last.
    pub ifindex: u32,
    /// It exists now.
    pub present: bool,
    /// The programs are attached.
    pub attached: bool,
    /// XDP, where it is or was last; `None` for TC only.
    pub xdp: Option<XdpMode>,
    /// TC, where it is or was last.
    pub tc: Option<TcMode>,
    /// What an operator should know, one sentence; may be empty.
    pub note: String,
}

/// The guards and whether they may drop.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Guards {
    /// The modes asked for, in the order of [`Guard::ALL`].
    pub modes: [Mode; 4],
    /// The picture of the SAs is complete and the agent's lease is alive: `enforce` drops.
    pub trusted: bool,
    /// Guards that were turned off and why, one sentence each.
    pub disabled: Vec<String>,
}

impl Guards {
    /// Each guard with the mode asked for.
    pub fn iter(&self) -> impl Iterator<Item = (Guard, Mode)> + '_ {
        Guard::ALL.into_iter().zip(self.modes)
    }
}

/// The running agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentHealth {
    /// Version.
    pub version: String,
    /// When it started, in seconds since the epoch.
    pub started_s: u64,
    /// Times that the kernel had more events than the netlink socket could hold.
    pub netlink_overruns: u64,
    /// Full re-reads of the kernel's SAs and policies.
    pub resyncs: u64,
    /// Events of the kernel, by kind.
    pub events: Vec<(String, u64)>,
    /// How long the last full reading of SAs and policies took.
    pub read: Duration,
    /// How long the last change took from its first event to the maps.
    pub update: Duration,
    /// Reloads that took effect.
    pub reloads_ok: u64,
    /// Reloads that changed nothing because the new file is invalid.
    pub reloads_failed: u64,
    /// The picture of the kernel's SAs and policies is complete.
    pub in_sync: bool,
    /// Time since the mirror of xfrm_stat was written.
    pub mirror_age: Duration,
    /// The configuration file; `None` when the agent only follows.
    pub config: Option<String>,
    /// Local ends of encapsulated ESP.
    pub udp: Vec<UdpRow>,
    /// What others have undone.
    pub drift: DriftHealth,
    /// CPUs of the configuration that do not run.
    pub idle_cpus: Vec<u32>,
    /// Times that an SA has changed its CPU.
    pub moved: u64,
    /// Times that one should have, and did not pause.
    pub stayed: u64,
}

/// SAs and policies of ours that others have undone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DriftHealth {
    /// `off`, `report` or `repair`.
    pub mode: String,
    /// What is not as the configuration wants it now.
    pub rows: Vec<DriftRow>,
    /// How often what was found.
    pub counts: Vec<DriftCount>,
    /// Objects that were brought back.
    pub repairs_ok: u64,
    /// Repairs that failed.
    pub repairs_failed: u64,
}
