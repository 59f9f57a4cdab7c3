//! The command line.

use crate::control::When;
use crate::datapath::attach::AttachMode;
use crate::failure::USAGE;
use crate::keys::suite::Suite;
use crate::log::LogFormat;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// ESP fast path and control plane for Linux IPsec gateways: installs or follows SAs and policies, counts every SPI,
/// guards against unknown SPIs and clear text, and says why packets were dropped.
#[derive(Parser, Debug)]
#[command(name = "esp-agent", version, arg_required_else_help = true)]
pub struct Cli {
    /// For all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Args, Debug)]
pub struct Global {
    /// Name of this agent on the host. Default: "host", or the network namespace.
    #[arg(long, global = true, env = "ESP_AGENT_INSTANCE")]
    pub instance: Option<String>,
    /// Folder on a BPF file system for pinned maps and links.
    #[arg(long, global = true, env = "ESP_AGENT_BPFFS", default_value = crate::instance::PIN_ROOT)]
    pub bpffs: PathBuf,
    /// Folder for the record of what is ours.
    #[arg(long, global = true, env = "ESP_AGENT_STATE_DIR", default_value = crate::instance::RUN_ROOT)]
    pub state_dir: PathBuf,
    /// Folder for what must outlive a reboot.
    #[arg(long, global = true, env = "ESP_AGENT_DURABLE_DIR", default_value = crate::instance::DURABLE_ROOT)]
    pub durable_dir: PathBuf,
    /// How log lines look.
    #[arg(long, global = true, env = "ESP_AGENT_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Install (with a configuration), follow, count, guard and serve metrics until SIGTERM. SIGHUP reads the
    /// configuration again.
    Run(Run),
    /// Tell every error of a configuration and what is unwise in it, or in a dump of `ip xfrm`. Needs no root and
    /// changes nothing.
    Check(Check),
    /// Show what `run` would change in the kernel. Changes nothing.
    Plan(Plan),
    /// Show what the agent knows, also while it is stopped.
    Status(Status),
    /// Print what happens to SAs and policies as it happens, with the names of tunnels and policies, until SIGINT.
    Monitor(Monitor),
    /// Print the packets that the datapath has dropped since this was asked last, one by one, with reason and names.
    Drops(Drops),
    /// Take away exactly what the agent brought: programs, maps, SAs and policies.
    Detach,
    /// Make a fresh key for a key file.
    Keygen(Keygen),
    /// Write the files of both gateways of a tunnel, with fresh keys that fit.
    Pair(Box<Pair>),
    /// Give a tunnel new keys without losing a packet: the running agent adds the new inbound SA, then switches the
    /// outbound one, then removes the old inbound one.
    Rotate(Rotate),
}

/// `run`.
#[derive(Args, Debug)]
pub struct Run {
    /// Outside interface; may be given several times.
    #[arg(long = "iface", env = "ESP_AGENT_IFACE", value_delimiter = ',', value_name = "NAME")]
    pub ifaces: Vec<String>,
    /// Configuration. Without one the agent follows the kernel's SAs, observes and drops nothing.
    #[arg(short, long, env = "ESP_AGENT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the outer packet is judged.
    #[arg(long, env = "ESP_AGENT_ATTACH", value_enum, default_value_t)]
    pub attach: AttachMode,
    /// Where metrics are served. Default: what the configuration says, else 127.0.0.1:9754.
    #[arg(long, env = "ESP_AGENT_METRICS", value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// Bytes of kernel events that may wait while the agent is busy. Beyond it everything is read again.
    #[arg(long, env = "ESP_AGENT_NETLINK_BUFFER", value_name = "BYTES", default_value_t = crate::xfrm::events::ROOM)]
    pub netlink_buffer: usize,
    /// Take everything away on exit, as `detach` does.
    #[arg(long, env = "ESP_AGENT_TEARDOWN")]
    pub teardown: bool,
}

/// `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// Configuration.
    #[arg(short, long, env = "ESP_AGENT_CONFIG", value_name = "FILE", required_unless_present = "dump")]
    pub config: Option<PathBuf>,
    /// Instead of a configuration, the text of `ip xfrm state` and `ip xfrm policy` of any host, keys hidden or not;
    /// several files, or `-` for the standard input.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub dump: Vec<PathBuf>,
    /// Print JSON.
    #[arg(long, env = "ESP_AGENT_JSON")]
    pub json: bool,
}

/// `plan`.
#[derive(Args, Debug)]
pub struct Plan {
    /// Configuration.
    #[arg(short, long, env = "ESP_AGENT_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// Print JSON.
    #[arg(long, env = "ESP_AGENT_JSON")]
    pub json: bool,
}

/// `status`.
#[derive(Args, Debug)]
pub struct Status {
    /// Print JSON.
    #[arg(long, env = "ESP_AGENT_JSON")]
    pub json: bool,
}

/// `drops`.
#[derive(Args, Debug)]
pub struct Drops {
    /// Go on with those that come, until SIGINT.
    #[arg(short, long)]
    pub follow: bool,
    /// Print JSON, one object a line.
    #[arg(long, env = "ESP_AGENT_JSON")]
    pub json: bool,
}

/// `monitor`.
#[derive(Args, Debug)]
pub struct Monitor {
    /// Configuration whose names are shown. Default: the names that the agent on this host knows.
    #[arg(short, long, env = "ESP_AGENT_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON, one object a line.
    #[arg(long, env = "ESP_AGENT_JSON")]
    pub json: bool,
    /// Show sequence numbers as they move on, too: the kernel then sends an event for every second packet.
    #[arg(long)]
    pub progress: bool,
    /// Bytes of kernel events that may wait for a slow reader. Beyond it everything is read again, and said.
    #[arg(long, env = "ESP_AGENT_NETLINK_BUFFER", value_name = "BYTES", default_value_t = crate::xfrm::events::ROOM)]
    pub netlink_buffer: usize,
}

/// `keygen`.
#[derive(Args, Debug)]
pub struct Keygen {
    /// For which algorithms.
    #[arg(long, env = "ESP_AGENT_SUITE", value_enum, default_value_t)]
    pub suite: Suite,
    /// One key of so many bits instead, salt included.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(64..=4096), conflicts_with = "suite")]
    pub bits: Option<u16>,
    /// A new file of mode 0600, instead of the standard output; FILE.enc and FILE.auth for a suite with two keys.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// `pair`.
#[derive(Args, Debug)]
pub struct Pair {
    /// Name of the tunnel.
    #[arg(long, required_unless_present = "rotate", requires_all = ["left_nets", "right_nets"])]
    pub name: Option<String>,
    /// New keys for this tunnel instead, for `rotate`.
    #[arg(long, value_name = "TUNNEL", conflicts_with_all = ["name", "left_nets", "right_nets", "interface", "encap"])]
    pub rotate: Option<String>,
    /// Outside address of the left gateway.
    #[arg(long, value_name = "ADDR")]
    pub left: IpAddr,
    /// Outside address of the right gateway.
    #[arg(long, value_name = "ADDR")]
    pub right: IpAddr,
    /// Network behind the left gateway; may be given several times.
    #[arg(long = "left-net", value_delimiter = ',', value_name = "NET")]
    pub left_nets: Vec<String>,
    /// Network behind the right gateway; may be given several times.
    #[arg(long = "right-net", value_delimiter = ',', value_name = "NET")]
    pub right_nets: Vec<String>,
    /// Algorithms.
    #[arg(long, env = "ESP_AGENT_SUITE", value_enum, default_value_t)]
    pub suite: Suite,
    /// Outside interface of both gateways. Without one, `run` asks for --iface.
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// Outside interface of the left gateway.
    #[arg(long, value_name = "NAME", conflicts_with = "rotate")]
    pub left_interface: Option<String>,
    /// Outside interface of the right gateway.
    #[arg(long, value_name = "NAME", conflicts_with = "rotate")]
    pub right_interface: Option<String>,
    /// ESP in UDP, port 4500, through a NAT.
    #[arg(long)]
    pub encap: bool,
    /// Folder for the two files; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Name of the left gateway's file.
    #[arg(long, value_name = "FILE", default_value = "left.toml")]
    pub left_file: PathBuf,
    /// Name of the right gateway's file.
    #[arg(long, value_name = "FILE", default_value = "right.toml")]
    pub right_file: PathBuf,
}

/// `rotate`.
#[derive(Args, Debug)]
pub struct Rotate {
    /// Tunnel.
    pub tunnel: String,
    /// New keys for this gateway, as `pair --rotate` writes them. From now on the peer may send with them.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["switch", "finish", "cancel"], conflicts_with_all = ["switch", "finish", "cancel"])]
    pub keys: Option<PathBuf>,
    /// When to send with the new keys: a time such as 2026-05-01T02:00:00Z, or a span such as +10s. The peer must have
    /// its keys by then. Without it, `--switch` says when.
    #[arg(long, value_name = "WHEN", value_parser = crate::cmd::rotate::when, requires = "keys")]
    pub outbound_at: Option<When>,
    /// How long after that the old inbound SA stays. The peer must have switched by then.
    #[arg(long, value_name = "SPAN", value_parser = crate::cmd::rotate::grace, default_value = "10s")]
    pub grace: Duration,
    /// Send with the new keys from now on.
    #[arg(long, conflicts_with_all = ["finish", "cancel"])]
    pub switch: bool,
    /// Remove the old inbound SA now: the peer has switched.
    #[arg(long, conflicts_with = "cancel")]
    pub finish: bool,
    /// Give the new keys up, before the switch.
    #[arg(long)]
    pub cancel: bool,
}

impl Cli {
    /// Parses `args`; what clap has to say (help, version, a usage error) is printed, and the exit code returned.
    ///
    /// # Errors
    /// The exit code: 0 for help and version, 64 for a usage error.
    pub fn parse_or_exit_code(args: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        Self::try_parse_from(args).map_err(|error| {
            let printed = error.print();
            match (error.use_stderr(), printed) {
                (false, Ok(())) => ExitCode::SUCCESS,
                (true, Ok(())) => ExitCode::from(USAGE),
                (_, Err(_)) => ExitCode::FAILURE,
            }
        })
    }
}
