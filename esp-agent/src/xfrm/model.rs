//! SAs and policies as values: what is asked for and what the kernel shows have the same shape.
//!
//! Keys are not part of it: an [`Sa`] carries the print of its keys, [`SaKeys`] travels beside it to the one
//! place that writes them to the kernel.

use crate::secret::{KeyPrint, Secret};
use esp_common::Spi;
use std::net::IpAddr;

/// `IPPROTO_ESP`.
pub const ESP: u8 = 50;
/// `IPPROTO_AH`.
pub const AH: u8 = 51;
/// `IPPROTO_COMP`.
pub const COMP: u8 = 108;

/// What the kernel finds an SA by: destination, SPI, protocol and mark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SaId {
    /// Destination.
    pub dst: IpAddr,
    /// SPI.
    pub spi: Spi,
    /// IP protocol: [`ESP`], [`AH`] or [`COMP`]. The SPI of IPComp is its CPI.
    pub proto: u8,
    /// Mark and its mask.
    pub mark: Mark,
}

/// `XFRMA_MARK`: 0/0 is no mark.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Mark {
    /// Value.
    pub value: u32,
    /// Mask.
    pub mask: u32,
}

/// Mode of an SA or a template.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Mode {
    /// `XFRM_MODE_TRANSPORT`.
    Transport,
    /// `XFRM_MODE_TUNNEL`.
    Tunnel,
    /// `XFRM_MODE_BEET`.
    Beet,
    /// A mode of others (route optimisation, in-trigger, IP-TFS), by its number.
    Other(u8),
}

/// `XFRMA_SA_DIR` (Linux 6.10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum SaDir {
    /// Inbound.
    In,
    /// Outbound.
    Out,
}

/// An algorithm as the kernel names it, without its key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Algo {
    /// The kernel's canonical name, such as `cbc(aes)`.
    pub name: String,
    /// Key length in bits, salt included.
    pub key_bits: u32,
    /// ICV length in bits for AEAD and authentication, else 0.
    pub icv_bits: u32,
}

/// The transform of an SA.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Suite {
    /// Combined mode (`XFRMA_ALG_AEAD`).
    pub aead: Option<Algo>,
    /// Authentication (`XFRMA_ALG_AUTH_TRUNC`, which the kernel always shows beside the older `XFRMA_ALG_AUTH`).
    pub auth: Option<Algo>,
    /// Encryption (`XFRMA_ALG_CRYPT`).
    pub enc: Option<Algo>,
    /// Compression (`XFRMA_ALG_COMP`); it has no key.
    pub comp: Option<Algo>,
}

/// UDP encapsulation (`XFRMA_ENCAP`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Encap {
    /// `UDP_ENCAP_ESPINUDP` is 2.
    pub kind: u16,
    /// Source port.
    pub sport: u16,
    /// Destination port.
    pub dport: u16,
    /// Original address, or unspecified.
    pub original: Option<IpAddr>,
}

/// Hardware offload (`XFRMA_OFFLOAD_DEV`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Offload {
    /// Interface.
    pub ifindex: u32,
    /// `XFRM_OFFLOAD_PACKET`: the NIC does all of it, ESP never passes our hooks.
    pub packet: bool,
    /// Inbound.
    pub inbound: bool,
}

/// Limits of a lifetime; `None` is infinite.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Limits {
    /// Bytes.
    pub soft_bytes: Option<u64>,
    /// Bytes.
    pub hard_bytes: Option<u64>,
    /// Packets.
    pub soft_packets: Option<u64>,
    /// Packets.
    pub hard_packets: Option<u64>,
    /// Seconds since it was added.
    pub soft_add_s: Option<u64>,
    /// Seconds since it was added.
    pub hard_add_s: Option<u64>,
    /// Seconds since its first use.
    pub soft_use_s: Option<u64>,
    /// Seconds since its first use.
    pub hard_use_s: Option<u64>,
}

impl Limits {
    /// No limit.
    pub const NONE: Self = Self {
        soft_bytes: None,
        hard_bytes: None,
        soft_packets: None,
        hard_packets: None,
        soft_add_s: None,
        hard_add_s: None,
        soft_use_s: None,
        hard_use_s: None,
    };
}

/// `struct xfrm_selector`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Selector {
    /// Source network.
    pub src: Net,
    /// Destination network.
    pub dst: Net,
    /// Upper-layer protocol; 0 is any.
    pub proto: u8,
    /// Source port (ICMP type) and mask.
    pub sport: Port,
    /// Destination port (ICMP code) and mask.
    pub dport: Port,
    /// Interface index; 0 is any.
    pub ifindex: u32,
}

/// A network: address and prefix length. Host bits are kept as given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Net {
    /// Address.
    pub addr: IpAddr,
    /// Prefix length.
    pub len: u8,
}

impl Selector {
    /// All packets between two networks.
    #[must_use]
    pub const fn between(src: Net, dst: Net) -> Self {
        let any = Port { port: 0, mask: 0 };
        Self { src, dst, proto: 0, sport: any, dport: any, ifindex: 0 }
    }
}

/// A port and its mask, native-endian; mask 0 is any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Port {
    /// Port.
    pub port: u16,
    /// Mask.
    pub mask: u16,
}

/// A Security Association, without its keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sa {
    /// Identity.
    pub id: SaId,
    /// Source.
    pub src: IpAddr,
    /// Mode.
    pub mode: Mode,
    /// Request id.
    pub reqid: u32,
    /// `XFRMA_IF_ID`; 0 is none.
    pub if_id: u32,
    /// Transform.
    pub suite: Suite,
    /// Print of the keys: AEAD, then authentication, then encryption, one after the other.
    pub keys: KeyPrint,
    /// Anti-replay window in packets.
    pub replay_window: u32,
    /// Extended sequence numbers.
    pub esn: bool,
    /// `XFRM_STATE_*` of `xfrm_usersa_info.flags` but `XFRM_STATE_ESN`.
    pub flags: u8,
    /// `XFRMA_SA_EXTRA_FLAGS`.
    pub extra_flags: u32,
    /// Selector on the SA itself; `None` when it selects all.
    pub selector: Option<Selector>,
    /// UDP encapsulation.
    pub encap: Option<Encap>,
    /// Lifetime limits.
    pub limits: Limits,
    /// Direction, where the kernel knows it.
    pub dir: Option<SaDir>,
    /// Hardware offload.
    pub offload: Option<Offload>,
    /// Mark that a packet gets when the SA has transformed it (`XFRMA_SET_MARK`); 0/0 is none.
    pub output_mark: Mark,
    /// Traffic flow confidentiality: packets are padded to so many bytes (`XFRMA_TFCPAD`); 0 is off.
    pub tfc_pad: u32,
    /// Seconds between NAT keepalives that the kernel sends (Linux 6.11); 0 is none.
    pub nat_keepalive_s: u32,
    /// The CPU that the SA is for (RFC 9611, Linux 6.13).
    pub pcpu: Option<u32>,
    /// Where its sequence numbers begin. Not compared: they move on.
    pub start: SaStart,
}

/// Sequence numbers that an SA begins with; 64 bits with ESN, else 32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct SaStart {
    /// The last number that counts as sent: the first packet carries the next.
    pub oseq: u64,
    /// The highest number that counts as received: those before the window are replays.
    pub seq: u64,
}

impl SaId {
    /// An ESP SA without a mark.
    #[must_use]
    pub const fn esp(dst: IpAddr, spi: Spi) -> Self {
        Self { dst, spi, proto: ESP, mark: Mark { value: 0, mask: 0 } }
    }
}

impl Sa {
    /// An SA without a transform and with no option set: what others are built on.
    #[must_use]
    pub fn bare(id: SaId, src: IpAddr, mode: Mode) -> Self {
        Self {
            id,
            src,
            mode,
            reqid: 0,
            if_id: 0,
            suite: Suite::default(),
            keys: SaKeys::default().print(),
            replay_window: 0,
            esn: false,
            flags: 0,
            extra_flags: 0,
            selector: None,
            encap: None,
            limits: Limits::default(),
            dir: None,
            offload: None,
            output_mark: Mark::default(),
            tfc_pad: 0,
            nat_keepalive_s: 0,
            pcpu: None,
            start: SaStart::default(),
        }
    }
}

/// The keys of an [`Sa`]. An absent algorithm has an absent key.
#[derive(Clone, Debug, Default)]
pub struct SaKeys {
    /// Key and salt of the AEAD.
    pub aead: Option<Secret>,
    /// Authentication key.
    pub auth: Option<Secret>,
    /// Encryption key.
    pub enc: Option<Secret>,
}

impl SaKeys {
    /// The print that an [`Sa`] with these keys carries.
    #[must_use]
    pub fn print(&self) -> KeyPrint {
        let parts = [&self.aead, &self.auth, &self.enc];
        let joined: Vec<u8> =
            parts.into_iter().flatten().flat_map(|key| key.expose().iter().copied()).collect();
        KeyPrint::of(&zeroize::Zeroizing::new(joined))
    }
}

/// An SA as the kernel shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedSa {
    /// Its attributes.
    pub sa: Sa,
    /// No algorithm yet: a larval SA of `alloc-spi` or an acquire.
    pub larval: bool,
    /// Bytes that it has transformed.
    pub bytes: u64,
    /// Packets that it has transformed.
    pub packets: u64,
    /// When it was added, seconds since the epoch.
    pub added_s: u64,
    /// When it was first used, seconds since the epoch; 0 is never.
    pub used_s: u64,
    /// Packets dropped as replays or as older than the window.
    pub replay_drops: u32,
    /// Integrity failures.
    pub integrity_failed: u32,
    /// Sequence numbers as they are now: the last one sent, the highest one received.
    pub now: SaStart,
}

impl ObservedSa {
    /// One that has done nothing yet.
    #[must_use]
    pub fn fresh(sa: Sa) -> Self {
        Self {
            now: sa.start,
            sa,
            larval: false,
            bytes: 0,
            packets: 0,
            added_s: 0,
            used_s: 0,
            replay_drops: 0,
            integrity_failed: 0,
        }
    }
}

/// Direction of a policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PolicyDir {
    /// To this host, after decryption.
    In,
    /// What leaves.
    Out,
    /// Through this host, after decryption.
    Fwd,
}

/// What becomes of packets that no policy matches (`struct xfrm_userpolicy_default`, Linux 5.15).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DefaultPolicy {
    /// To this host.
    pub inbound: PolicyAction,
    /// Through this host.
    pub forward: PolicyAction,
    /// From this host.
    pub outbound: PolicyAction,
}

/// What a policy does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PolicyAction {
    /// Allow: protected by its templates, or in the clear if it has none.
    Allow,
    /// Block.
    Block,
}

/// `struct xfrm_user_tmpl`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Template {
    /// Source; unspecified is any.
    pub src: IpAddr,
    /// Destination; unspecified is any.
    pub dst: IpAddr,
    /// SPI; 0 is any.
    pub spi: Spi,
    /// IP protocol.
    pub proto: u8,
    /// Mode.
    pub mode: Mode,
    /// Request id; 0 is any.
    pub reqid: u32,
    /// `level use`: an SA is not required.
    pub optional: bool,
}

/// What the kernel finds a policy by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PolicyId {
    /// Selector.
    pub selector: Selector,
    /// Direction.
    pub dir: PolicyDir,
    /// Mark and its mask.
    pub mark: Mark,
    /// `XFRMA_IF_ID`; 0 is none.
    pub if_id: u32,
}

/// A Security Policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Identity.
    pub id: PolicyId,
    /// Priority: the smaller wins.
    pub priority: u32,
    /// Allow or block.
    pub action: PolicyAction,
    /// `XFRM_POLICY_*` flags (localok 1, icmp 2).
    pub flags: u8,
    /// Templates, outermost last as the kernel has them.
    pub templates: Vec<Template>,
    /// Lifetime limits.
    pub limits: Limits,
    /// Packet offload to a NIC (`XFRMA_OFFLOAD_DEV`).
    pub offload: Option<Offload>,
}

impl Policy {
    /// A policy that lets the packets of `id` pass in the clear: what others are built on.
    #[must_use]
    pub const fn bare(id: PolicyId) -> Self {
        Self {
            id,
            priority: 0,
            action: PolicyAction::Allow,
            flags: 0,
            templates: Vec::new(),
            limits: Limits::NONE,
            offload: None,
        }
    }
}

/// A policy as the kernel shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedPolicy {
    /// Its attributes.
    pub policy: Policy,
    /// The kernel's index; its low three bits are the direction, 3 and above are per-socket policies.
    pub index: u32,
    /// When it was added, seconds since the epoch.
    pub added_s: u64,
    /// When it was last used, seconds since the epoch; 0 is never.
    pub used_s: u64,
}
