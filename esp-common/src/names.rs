//! Names and sizes of maps and programs: both sides use these.

/// The program at XDP.
pub const PROG_XDP: &str = "esp_xdp";
/// The program at XDP where the driver spreads a frame over several buffers.
pub const PROG_XDP_FRAGS: &str = "esp_xdp_frags";
/// The program at TC ingress.
pub const PROG_TC_IN: &str = "esp_tc_in";
/// The program at TC egress.
pub const PROG_TC_OUT: &str = "esp_tc_out";
/// An XDP program that does nothing: the baseline of the benchmarks.
pub const PROG_EMPTY: &str = "esp_empty";
/// The program on the CPU that packets are handed to.
pub const PROG_CPU: &str = "esp_cpu";
/// The same, of frames that came through [`PROG_XDP_FRAGS`].
pub const PROG_CPU_FRAGS: &str = "esp_cpu_frags";
/// The program that counts what found no room in a CPU's queue.
pub const PROG_FULL: &str = "esp_full";
/// The program that counts what could not be handed over for other reasons.
pub const PROG_REFUSED: &str = "esp_refused";
/// An XDP program that is never attached: it tells which SA the kernel got last ([`crate::NewestSa`]).
pub const PROG_NEWEST: &str = "esp_newest";
/// A TC program that is never attached: it tells what time jiffies have.
pub const PROG_CLOCK: &str = "esp_clock";
/// Where in its frame [`PROG_CLOCK`] leaves jiffies, then ns of CLOCK_MONOTONIC: u64 each, native-endian.
pub const CLOCK_OFFSET: usize = 16;

/// [`crate::Settings`], one entry.
pub const MAP_SETTINGS: &str = "SETTINGS";
/// [`crate::table::Bucket`], the first one [`crate::Shape`]: where an SA has its line. One cache line each.
pub const MAP_SA_INDEX: &str = "SA_INDEX";
/// cpu * [`crate::Shape::slots`] + slot to [`crate::SaLine`]: key and counters of an SA. One cache line each.
pub const MAP_SA_LINES: &str = "SA_LINES";
/// One word for each slot of `SA_LINES`, shared by all CPUs: [`crate::sequence::Numbers::head`].
pub const MAP_HEADS: &str = "HEADS";
/// The same: [`crate::sequence::Numbers::rest`].
pub const MAP_SEQUENCES: &str = "SEQUENCES";
/// One word for each slot of `SA_LINES`: when its next packet is due, in ns of CLOCK_MONOTONIC.
pub const MAP_SA_BUDGETS: &str = "SA_BUDGETS";
/// [`crate::Addr`] of an outer source to the same, the least recently used goes first.
pub const MAP_PEER_BUDGETS: &str = "PEER_BUDGETS";
/// The same, one entry: of all SPIs that no SA has.
pub const MAP_UNKNOWN_BUDGET: &str = "UNKNOWN_BUDGET";
/// [`crate::FlowKey`] to u32, the slot: SAs whose bucket is full.
pub const MAP_SAS: &str = "SAS";
/// [`crate::Addr`] to u32: our own addresses.
pub const MAP_LOCALS: &str = "LOCALS";
/// [`crate::SeenKey`] to [`crate::FlowCounter`], per CPU: flows of SAs that the kernel has or had and that have no place
/// in `SA_LINES`. The datapath counts under pad 0; under the others stand lines that were given up.
pub const MAP_FLOWS: &str = "FLOWS";
/// [`crate::SaLine`], the first one [`crate::Shape`], then the lines of each CPU: flows that no SA has, four to a hash, of which
/// the least recently seen goes first.
pub const MAP_GHOSTS: &str = "GHOSTS";
/// cpu * [`REASONS`] + [`crate::counter::reason_index`] to [`crate::Counter`].
pub const MAP_REASONS: &str = "REASONS";
/// cpu * [`HITS`] + [`crate::counter::hit_index`] to [`crate::Counter`]: hits of guards that name no policy.
pub const MAP_HITS: &str = "HITS";
/// [`crate::GuardKey`] to [`crate::Counter`], per CPU: hits of guards on policies.
pub const MAP_GUARD_HITS: &str = "GUARD_HITS";
/// [`crate::classifier::Line`]: heads, open rules and search trees of rule sets, in [`crate::classifier::BANKS`].
pub const MAP_RULE_LINES: &str = "RULE_LINES";
/// Words of the same banks: verdicts, tables, records and values ([`crate::classifier`]).
pub const MAP_RULE_WORDS: &str = "RULE_WORDS";
/// [`crate::InnerKey`] to [`crate::RuleRange`]; count 0: no policy names the SA, nothing may come through it.
pub const MAP_INNER: &str = "INNER";
/// [`crate::Rule`]: the ranges that `INNER` names.
pub const MAP_INNER_RULES: &str = "INNER_RULES";
/// cpu * [`TUNNEL_COUNTERS`] + tunnel * 2 + direction to [`crate::Counter`]: they go on across rekeys and restarts.
pub const MAP_TUNNELS: &str = "TUNNELS";
/// tunnel to [`crate::TunnelName`].
pub const MAP_TUNNEL_NAMES: &str = "TUNNEL_NAMES";
/// slot to [`crate::IfaceSlot`].
pub const MAP_IFACES: &str = "IFACES";
/// [`crate::StatName`] to u64.
pub const MAP_XFRM_STAT: &str = "XFRM_STAT";
/// Ring of [`crate::Sample`].
pub const MAP_SAMPLES: &str = "SAMPLES";
/// When the next sample is due, in ns of CLOCK_MONOTONIC.
pub const MAP_SAMPLE_BUDGET: &str = "SAMPLE_BUDGET";
/// Interfaces that transit may leave by, by their index.
pub const MAP_PORTS: &str = "PORTS";
/// One word for each slot of `SA_LINES`: [`crate::lane::Lane`], the CPU of its SA.
pub const MAP_LANES: &str = "LANES";
/// CPUs that packets are handed to, by their number. A map serves programs for frames of one buffer or of several, not both
/// (`xdp_has_frags` in `bpf_prog_map_compatible`, Linux 5.18).
pub const MAP_CPUS: &str = "CPUS";
/// The same for [`PROG_XDP_FRAGS`].
pub const MAP_CPUS_FRAGS: &str = "CPUS_FRAGS";
/// [`crate::lane::queue`] to u64, per CPU: packets handed to a queue.
pub const MAP_HANDED: &str = "HANDED";
/// The same: packets that a queue had no room for.
pub const MAP_REFUSED: &str = "REFUSED";
/// The same: packets that came out of a queue.
pub const MAP_ARRIVED: &str = "ARRIVED";
/// [`LOST_FLOWS`] and its like to u64, per CPU: what could not be counted in its own place.
pub const MAP_LOST: &str = "LOST";

/// All maps, in the order in which `status` lists them.
pub const MAPS: [&str; 33] = [
    MAP_SETTINGS,
    MAP_SA_INDEX,
    MAP_SA_LINES,
    MAP_HEADS,
    MAP_SEQUENCES,
    MAP_SA_BUDGETS,
    MAP_PEER_BUDGETS,
    MAP_UNKNOWN_BUDGET,
    MAP_SAS,
    MAP_LOCALS,
    MAP_FLOWS,
    MAP_GHOSTS,
    MAP_REASONS,
    MAP_HITS,
    MAP_GUARD_HITS,
    MAP_RULE_LINES,
    MAP_RULE_WORDS,
    MAP_INNER,
    MAP_INNER_RULES,
    MAP_TUNNELS,
    MAP_TUNNEL_NAMES,
    MAP_IFACES,
    MAP_XFRM_STAT,
    MAP_LOST,
    MAP_SAMPLES,
    MAP_SAMPLE_BUDGET,
    MAP_PORTS,
    MAP_LANES,
    MAP_CPUS,
    MAP_CPUS_FRAGS,
    MAP_HANDED,
    MAP_REFUSED,
    MAP_ARRIVED,
];

/// Constant of the object: the interface's slot.
pub const GLOBAL_IFACE: &str = "IFACE";
/// Constant of the object: 1 when there is no XDP program and TC ingress judges the outer packet.
pub const GLOBAL_OUTER_AT_TC: &str = "OUTER_AT_TC";
/// Constant of the object: 1 when frames of the interface start with their IP header.
pub const GLOBAL_NO_ETHERNET: &str = "NO_ETHERNET";
/// Constant of the object: the MAC address of the interface, and two zero bytes.
pub const GLOBAL_MAC: &str = "MAC";

/// Constant of the object: the id of [`MAP_CPUS`] for [`PROG_FULL`] and [`PROG_REFUSED`].
pub const GLOBAL_CPUS_ID: &str = "CPUS_ID";
/// The same of [`MAP_CPUS_FRAGS`].
pub const GLOBAL_CPUS_FRAGS_ID: &str = "CPUS_FRAGS_ID";

/// Constant of the object: [`crate::SadLayout`].
pub const GLOBAL_SAD: &str = "SAD";

/// Interfaces that one agent can have.
pub const IFACES: u32 = 8;
/// CPUs by default; the maps are made anew with the number of those that there can be.
pub const CPUS: u32 = 64;
/// SAs by default; the maps are made anew with the configured size.
pub const SAS: u32 = 16_384;
/// Peers that have a budget.
pub const PEERS: u32 = 16_384;
/// Bytes of the ring of samples: some three thousand of them.
pub const SAMPLES: u32 = 256 * 1024;
/// Own addresses.
pub const LOCALS: u32 = 4_096;
/// Flows of known SAs beside their lines.
pub const FLOWS: u32 = 32_768;
/// Flows that no SA has, on each CPU.
pub const GHOSTS: u32 = 4_096;
/// Guard hits: policies times modes.
pub const GUARD_HITS: u32 = 4_096;
/// Rules in one direction. More policies than these turn the clear-text guards off, and `status` says so.
pub const RULES: u32 = 4_096;
/// Selectors of all SAs together, shared where they are equal.
pub const INNER_RULES: u32 = 16_384;
/// Selectors of one SA. With more it passes unchecked, and `status` says so.
pub const INNER_RULES_PER_SA: u32 = 64;
/// Tunnels, the empty one included.
pub const TUNNELS: u32 = 4_096;
/// Counters of tunnels, for one CPU.
pub const TUNNEL_COUNTERS: u32 = TUNNELS * crate::TUNNEL_DIRECTIONS;
/// Counters of reasons, for one CPU.
pub const REASONS: u32 = IFACES * crate::counter::REASON_COUNTERS_PER_IFACE;
/// Counters of hits without a policy, for one CPU.
pub const HITS: u32 = 16;
/// Counters of xfrm_stat: Linux 6.18 has 32.
pub const XFRM_STATS: u32 = 128;

/// Index in `LOST`: packets of known SAs whose flow found no room in `FLOWS`.
pub const LOST_FLOWS: u32 = 0;
/// Index in `LOST`: packets without an SA whose flow found no room in `GHOSTS`.
pub const LOST_GHOSTS: u32 = 1;
/// Index in `LOST`: guard hits that found no room in `GUARD_HITS`.
pub const LOST_GUARD_HITS: u32 = 2;
/// Index in `LOST`: packets whose sequence number could not be noted.
pub const LOST_SEQUENCES: u32 = 3;
/// Index in `LOST`: drops that were not told, beyond the rate or for want of room in `SAMPLES`.
pub const LOST_SAMPLES: u32 = 4;
/// Entries of `LOST`.
pub const LOST: u32 = 5;
