//! The seam to the bytes of a frame.

use crate::parse::Ip;
use esp_common::{Addr, InnerKey, Spi};

/// What a frame of the interface starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// The IP header (tun, ipip, GRE without a MAC header).
    Ip,
}

/// A frame, or a packet where the interface has no link header.
pub trait Packet {
    /// Its length in bytes, as the hook reports it.
    fn len(&self) -> u32;

    /// True when it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `N` bytes at `offset`; `None` when they are not all there.
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

    /// The same offset, as one whose past nobody can trace: in the kernel all ways that lead here become one for the
    /// verifier, which otherwise walks what follows once for each.
    fn settle(&self, offset: u32) -> u32 {
        offset
    }

    /// The SA that the kernel decrypted it by: the innermost of its secpath. `None` for a frame from the wire.
    fn decrypted_by(&self) -> Option<InnerKey>;

    /// Whether the kernel itself has an SA for ESP to `dst` with `spi`: a new one reaches our table some milliseconds
    /// later. `None` where the kernel cannot be asked.
    fn kernel_has(&self, dst: &Addr, spi: Spi) -> Option<bool>;

    /// Hands it to the CPU of the SA in a slot of the table. False leaves it here: that SA has none.
    fn hand(&self, slot: u32) -> bool;

    /// Sends it on by the kernel's routes, without the stack. False leaves it unchanged, for the stack: it is no plain
    /// case, or its route leads where we may not send.
    fn forward(&self, ip: &Ip) -> bool;
}
