//! The configuration: one TOML file becomes a [`Config`] that cannot be wrong, or the list of all its errors.
//!
//! `text -> document -> raw (each value alone) -> check (values together) -> derive -> Config`
//!
//! ```toml
//! interfaces = ["eth5"]               # outside interfaces, beside those of --iface
//! reconcile = "repair"                # off | report | repair (default): SAs and policies of ours that others undo
//!
//! [metrics]
//! listen = "127.0.0.1:9754"
//! [guard]                             # off | observe (default) | enforce
//! unknown_spi = "enforce"             # also cleartext_in, cleartext_out, selectors
//! [mirror]
//! interval = "1s"                     # how often xfrm_stat is copied
//! [maps]                              # entries; also flows, ghosts
//! sas = 16384
//! [wire]                              # what ESP looks like on this network
//! natt_ports = [4500]                 # UDP ports of ESP, four at most
//! ping_spis = []                      # reserved SPIs of ESP echo, such as [7, 8]: they pass as `esp_ping`
//! [budget]                            # packets/s that may come before they are decrypted; default: as many as do
//! sa = 200000                         # of each SA
//! peer = 500000                       # of each outer source of SAs
//! unknown = 1000                      # of all SPIs that no SA has, together
//! burst = "100ms"                     # default: what may come at once is as much as comes in this time
//! [samples]                           # dropped packets that `esp-agent drops` can show, in packets/s
//! rate = 100                          # default; 0 for none
//! [transit]                           # ESP that crosses this router, between the interfaces of the agent
//! forward = true                      # at XDP, past the stack and its filters; default: false
//! flows = "all"                       # default; or "known": those of SAs alone
//! [steer]                             # SAs on CPUs of their own, at XDP; default: decrypted where they are received
//! cpus = "2-5"                        # each SA on one of these, or on that which `cpu` of its [[sa]] names
//! queue = 2048                        # default: packets that wait for a CPU at most
//!
//! [[tunnel]]
//! name = "site-b"                     # at most 63 bytes, not 16 hex digits in a row; a label in metrics
//! mode = "tunnel"                     # default; or "transport"
//! local = "10.55.55.1"                # outer addresses, IPv4 or IPv6
//! remote = "10.66.66.1"
//! local_net = "192.168.1.0/24"        # or a list; not in transport mode; all networks if if_id is set
//! remote_net = ["192.168.2.0/24"]
//! protocol = "any"                    # narrows the policies: a name or a number
//! encryption = "cbc(aes)"             # 16, 24 or 32 bytes
//! integrity = "hmac(sha256)"          # 32 (or 16) bytes; "sha256" is the kernel's name with a 96-bit ICV;
//!                                     # hmac(sha384): 48, hmac(sha512): 64
//! # aead = "rfc4106(gcm(aes))"        # instead of both: 20, 28 or 36 bytes, the last 4 are the salt
//! # aead = "rfc7539esp(chacha20,poly1305)"  # 36 bytes
//! icv = 128                           # bits; default: what the RFC of the algorithm asks for
//! reqid = 0x45530001                  # default: derived from the name
//! replay_window = 64                  # packets
//! esn = false
//! priority = 3600                     # default: the narrower the networks, the smaller; the smaller wins
//! forward = true                      # derive `fwd` policies
//! interface = "ipsec0"                # an XFRM interface of its own, for a tunnel that routes lead into
//! address = "10.255.0.1/30"           # of the interface; or a list
//! route = "192.168.2.0/24"            # over the interface; or a list; default: remote_net, if it is given
//! route_metric = 100                  # default: 0, or 1024 for IPv6, as the kernel has it
//! mtu = 1400                          # default: what fits into 1500 bytes with cipher, mode and encapsulation
//! if_id = 7                           # default: derived from the name; without `interface`: that of an XFRM
//!                                     # interface that others make
//! encap = { local_port = 4500, remote_port = 4500, keepalive = "20s" }  # ESP in UDP, through NAT; or "off"
//! [tunnel.in]                         # what comes from `remote`; [tunnel.out] alike
//! spi = 0x1001
//! encryption_key_file = "b-in.enc"    # hex, mode 600; or encryption_key_credential, or encryption_key
//! integrity_key_file = "b-in.auth"    # with aead: key_file, key_credential or key
//!
//! [[sa]]                              # the raw way: src, dst, spi, mode (also "beet"), reqid, algorithms,
//!                                     # keys, replay_window, esn, if_id, mark = { value, mask },
//!                                     # encap = { sport, dport }, tunnel; see docs/options.md
//! protocol = "esp"                    # or "ah" with `integrity`, or "comp" with compression = "deflate"
//! direction = "in"                    # or "out"; Linux 6.10
//! flags = ["decap-dscp"]              # as ip-xfrm(8) names them, extra flags too
//! selector = { src = "10.1.0.0/16", dst = "10.2.0.0/16", protocol = "tcp", dport = 443 }
//! lifetime = { soft_time = "50m", hard_time = "1h", hard_bytes = "10GiB" }  # also _use_time, _packets
//! output_mark = { value = 1, mask = 0xff }
//! tfc_pad = 600                       # bytes
//! nat_keepalive = "20s"               # Linux 6.11
//! cpu = 2                             # Linux 6.13
//! sequence = { sent = 0, received = 0 }  # where the numbers begin
//! offload = { interface = "eth5", mode = "crypto" }  # or "packet"
//! [default_policy]                    # packets that no policy matches: "accept" (default) or "block"
//! in = "accept"                       # also fwd, out
//! [[policy]]                          # name, dir, src, dst, protocol, sport, dport, icmp_type, icmp_code,
//!                                     # interface, action, priority, if_id, mark, lifetime, tunnel,
//!                                     # flags = ["localok", "icmp"]
//! [[policy.template]]                 # protocol, mode, src, dst, spi, reqid, level = "required" | "use"
//!
//! [[bypass]]                          # clear text beside the tunnels, ahead of them; [[discard]]: dropped
//! name = "dns"                        # default: bypass-1
//! local_net = "192.168.1.0/24"        # or a list; default: all
//! remote_net = "192.168.2.53/32"
//! protocol = "udp"
//! remote_port = 53                    # also local_port, icmp_type, icmp_code
//! direction = "both"                  # or "out", "in" (which is also what is forwarded)
//! interface = "eth5"                  # where it leaves or comes in; default: any
//! priority = 1500                     # default: from 101 to 1900, the narrower the smaller
//!
//! [[name]]                            # a name for a tunnel that others install, as an IKE daemon; the first that
//! tunnel = "site-c"                   # fits in all that it says counts
//! reqid = 5                           # one of reqid, if_id and remote at least
//! if_id = 8
//! local = "10.55.55.1"
//! remote = "10.77.77.1"
//! local_net = "192.168.1.0/24"        # a policy of the SA lies inside one of these networks; or a list
//! remote_net = "192.168.3.0/24"
//! ```

mod algo;
mod check;
mod derive;
pub mod desired;
mod document;
mod key;
mod limits;
pub mod lint;
pub mod new_keys;
pub mod options;
mod protection;
mod raw;
mod report;
mod scalar;
mod scene;
mod section;
mod valid;

pub use desired::{Desired, KeyedSa, NamedPart, NamedPolicy, NoDevice};
pub use lint::{Lint, LintCode};
pub use report::{ConfigError, ConfigErrors};
pub use valid::{GuardModes, Reconcile, Sizes, Steer, Tunnel};

use crate::stitch::Rule;
use crate::xfrm::model::DefaultPolicy;
use check::tunnel::PlacedTunnel;
use esp_common::{Budgets, Sampling, Transit, Wire};
use key::KeyStore;
use raw::RawConfig;
use report::{At, Located, Report};
use section::Section;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// A checked configuration. The default is that of no file: follow the kernel, observe, drop nothing.
#[derive(Clone, Debug)]
pub struct Config {
    /// Outside interfaces.
    pub ifaces: Vec<String>,
    /// Where metrics are served, if the file says so.
    pub metrics: Option<SocketAddr>,
    /// What each guard does.
    pub guard: GuardModes,
    /// What is done about objects of ours that someone deletes or changes.
    pub reconcile: Reconcile,
    /// How often xfrm_stat is mirrored.
    pub mirror_interval: Duration,
    /// Sizes of maps.
    pub sizes: Sizes,
    /// What ESP looks like on this network.
    pub wire: Wire,
    /// How many packets may come.
    pub budgets: Budgets,
    /// How many dropped packets are told.
    pub sampling: Sampling,
    /// Which ESP is forwarded without the stack.
    pub transit: Transit,
    /// Which CPUs decrypt, if not those that receive.
    pub steer: Option<Steer>,
    /// `[[tunnel]]`, with what was derived.
    pub tunnels: Vec<Tunnel>,
    /// `[[sa]]`.
    pub sas: Vec<KeyedSa>,
    /// `[[policy]]`, then what `[[bypass]]` and `[[discard]]` became.
    pub policies: Vec<NamedPolicy>,
    /// `[default_policy]`.
    pub default_policy: Option<DefaultPolicy>,
    /// `[[name]]`: names for SAs of others, the first that matches counts.
    pub names: Vec<Rule>,
    /// What is allowed and still a bad idea.
    pub lints: Vec<Lint>,
}

/// Reads, parses and checks the file at `path`, and reads the keys that it names.
///
/// # Errors
/// Everything that is wrong with it. The texts hold no key material.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map(Zeroizing::new);
    let bytes = bytes.map_err(|error| ConfigErrors::of_file(&name, format!("failed to read it: {error}")))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        ConfigErrors::of_file(&name, format!("is not UTF-8 behind byte {}", error.valid_up_to()))
    })?;
    let mut config = parse(text, path.parent().unwrap_or(Path::new("")), &name)?;
    lint_mode(&mut config, path);
    Ok(config)
}

impl Config {
    /// Puts interface indices where `[[sa]]` and `[[policy]]` have names. `index` finds the index of a name.
    ///
    /// # Errors
    /// The first interface that is not there.
    pub fn find_devices(&mut self, index: impl Fn(&str) -> Option<u32>) -> Result<(), NoDevice> {
        let find = |device: &str, user: String| {
            index(device).ok_or_else(|| NoDevice { user, device: device.to_owned() })
        };
        for keyed in &mut self.sas {
            let user = format!("SA {} to {}", keyed.sa.id.spi, keyed.sa.id.dst);
            if let (Some(device), Some(offload)) = (&keyed.device, &mut keyed.sa.offload) {
                offload.ifindex = find(device, user)?;
            }
        }
        for named in &mut self.policies {
            if let Some(device) = &named.device {
                named.policy.id.selector.ifindex = find(device, format!("policy {}", named.name))?;
            }
        }
        Ok(())
    }
}

/// Parses and checks `text`. Key files are looked for from `base_dir`; `source_name` is the file in error texts.
///
/// # Errors
/// Everything that is wrong with it. The texts hold no key material.
pub fn parse(text: &str, base_dir: &Path, source_name: &str) -> Result<Config, ConfigErrors> {
    let report = Report::new(source_name, text);
    let document = document::parse(text, &report);
    // Half a document would bring errors that nobody made.
    if !report.is_clean() {
        return Err(report.finish().err().unwrap_or(ConfigErrors(Vec::new())));
    }
    let raw = RawConfig::read(Section::root(&document, &report), &KeyStore::new(base_dir));
    let config = build(raw, &report);
    Ok(Config { lints: report.finish()?, ..config })
}

fn build(raw: RawConfig, report: &Report) -> Config {
    let tunnels: Vec<PlacedTunnel> =
        raw.tunnels.into_iter().filter_map(|tunnel| check::tunnel::check(tunnel, report)).collect();
    let sas: Vec<Located<KeyedSa>> =
        raw.sas.into_iter().filter_map(|sa| check::sa::check(sa, report)).collect();
    let policies = raw.policies.into_iter().enumerate();
    let mut policies: Vec<Located<NamedPolicy>> =
        policies.filter_map(|(index, policy)| check::policy::check(policy, index + 1, report)).collect();
    let beside = raw.unprotected.iter().flat_map(|tables| tables.iter().enumerate());
    policies.extend(beside.flat_map(|(index, table)| check::unprotected::check(table, index + 1, report)));
    check::unique::check(&tunnels, &sas, &policies, report);
    check::overlap::check(&tunnels, report);
    limits::check(&raw.sizes, &tunnels, &sas, &policies, report);
    scene::lint(&tunnels, &sas, &policies, report);
    let default = Config::default();
    Config {
        ifaces: raw.ifaces,
        metrics: raw.metrics,
        guard: raw.guard,
        reconcile: raw.reconcile,
        mirror_interval: raw.mirror_interval.unwrap_or(default.mirror_interval),
        sizes: raw.sizes.value,
        wire: raw.wire,
        budgets: raw.budgets,
        sampling: raw.sampling,
        transit: raw.transit,
        steer: raw.steer,
        tunnels: tunnels.into_iter().map(|placed| placed.tunnel).collect(),
        sas: sas.into_iter().map(|sa| sa.value).collect(),
        policies: policies.into_iter().map(|policy| policy.value).collect(),
        default_policy: raw.default_policy,
        names: raw.names,
        lints: Vec::new(),
    }
}

/// Keys in a file that others can read are no secret. In one that is closed they are as safe as in a file of their own.
fn lint_mode(config: &mut Config, path: &Path) {
    let inline = config.lints.iter().any(|lint| lint.code == LintCode::InlineKey);
    let open = std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    if !open {
        config.lints.retain(|lint| lint.code != LintCode::InlineKey);
    } else if inline {
        let at = At { path: String::new(), line: 1 };
        let reason = "the file holds keys and is open to group or others";
        config.lints.insert(0, Lint::new(LintCode::ReadableConfig, &at, reason, "chmod 600 it"));
    }
}

impl Config {
    /// What the kernel is asked to have: of the tunnels first, then the raw SAs and policies.
    #[must_use]
    pub fn desired(&self) -> Desired {
        let sas = self.tunnels.iter().flat_map(|tunnel| &tunnel.sas).chain(&self.sas);
        let policies = self.tunnels.iter().flat_map(|tunnel| &tunnel.policies).chain(&self.policies);
        Desired {
            sas: sas.cloned().collect(),
            policies: policies.cloned().collect(),
            parts: self.tunnels.iter().flat_map(|tunnel| &tunnel.parts).cloned().collect(),
            default_policy: self.default_policy,
        }
    }
}

impl Config {
    /// Which tunnel an SA belongs to that the file does not list: what the tunnels of the file ask of it, then
    /// `[[name]]`.
    #[must_use]
    pub fn name_rules(&self) -> Vec<Rule> {
        let of_tunnel = |tunnel: &Tunnel| Rule {
            tunnel: tunnel.name.clone(),
            reqid: Some(tunnel.reqid),
            if_id: Some(tunnel.if_id),
            local: Some(tunnel.local),
            remote: Some(tunnel.remote),
            ..Rule::default()
        };
        self.tunnels.iter().map(of_tunnel).chain(self.names.iter().cloned()).collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ifaces: Vec::new(),
            metrics: None,
            guard: GuardModes::default(),
            reconcile: Reconcile::default(),
            mirror_interval: Duration::from_secs(1),
            sizes: Sizes::default(),
            wire: Wire::default(),
            budgets: Budgets::default(),
            sampling: raw::budget::DEFAULT_SAMPLING,
            transit: Transit::Off,
            steer: None,
            tunnels: Vec::new(),
            sas: Vec::new(),
            policies: Vec::new(),
            default_policy: None,
            names: Vec::new(),
            lints: Vec::new(),
        }
    }
}
