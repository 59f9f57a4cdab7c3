//! What the datapath knows of an SA.

use crate::{addr::Addr, spi::Spi};
use bytemuck::{Pod, Zeroable};

/// What is kept of an SA beside its key.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct SaEntry {
    /// Index into the tunnel table; 0 is no tunnel.
    pub tunnel: u32,
    /// [`SaEntry::OFFLOADED`].
    pub flags: u32,
}

impl SaEntry {
    /// The NIC en- and decrypts: its ESP never passes our hooks, silence is not loss.
    pub const OFFLOADED: u32 = 1;
}

/// What TC can learn of the SA that a packet was decrypted by (`struct bpf_xfrm_state`, Linux 4.18): the key of
/// its selectors. The kernel does not tell the SA's own address there.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Pod, Zeroable)]
pub struct InnerKey {
    /// The SA's source, the peer.
    pub remote: Addr,
    /// SPI.
    pub spi: Spi,
    /// Request id, as the kernel stores it.
    pub reqid: u32,
}

/// Name of a tunnel, zero-padded UTF-8.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
pub struct TunnelName(pub [u8; 64]);

impl TunnelName {
    /// Longest name in bytes, its closing zero included.
    pub const LEN: usize = 64;

    /// From text of at most 63 bytes; `None` if it is longer or empty.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        if name.is_empty() || name.len() >= Self::LEN {
            return None;
        }
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        Some(Self(bytes))
    }

    /// The text; empty for a free entry.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::LEN);
        self.0.get(..end).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or("")
    }
}

const _: () = {
    assert!(size_of::<SaEntry>() == 8 && size_of::<InnerKey>() == 24);
    assert!(size_of::<TunnelName>() == 64);
};
