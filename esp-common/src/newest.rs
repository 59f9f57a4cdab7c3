//! The SA that the kernel got last. While that is one that we know, it has none that we do not.

use bytemuck::{Pod, Zeroable};

/// What tells an SA of the kernel from all that it ever had, and that no other came or went; part of [`crate::Settings`].
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct Newest {
    /// Where the kernel keeps it; 0 is none.
    pub at: u64,
    /// Its SPI, in network byte order: another SA may come to the same place.
    pub spi: u32,
    /// How many SAs the kernel has.
    pub count: u32,
}

/// What [`crate::names::PROG_NEWEST`] leaves at the start of its frame.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct NewestSa {
    /// The SA; of its fields only place and count have a meaning where the kernel has none.
    pub newest: Newest,
    /// Its destination (`xfrm_address_t`): an IPv4 address stands in the first four bytes.
    pub daddr: [u8; 16],
    /// Its mark.
    pub mark: u32,
    /// The mask of it.
    pub mask: u32,
    /// Its IP protocol.
    pub proto: u8,
    /// Zero.
    pub pad: [u8; 7],
}

/// Where the kernel keeps its SAs: offsets in bytes, from its BTF. All zero is not known.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct SadLayout {
    /// `xdp_buff.rxq`.
    pub rxq: u32,
    /// `xdp_rxq_info.dev`.
    pub dev: u32,
    /// `net_device.nd_net.net`.
    pub net: u32,
    /// `net.xfrm.state_all.next`: the SA that was put in last.
    pub last: u32,
    /// `net.xfrm.state_num`.
    pub count: u32,
    /// `xfrm_state.km.all`.
    pub all: u32,
    /// `xfrm_state.id.spi`.
    pub spi: u32,
    /// `xfrm_state.id.daddr`.
    pub daddr: u32,
    /// `xfrm_state.id.proto`.
    pub proto: u32,
    /// `xfrm_state.mark.v`.
    pub mark: u32,
    /// `xfrm_state.mark.m`.
    pub mask: u32,
    /// BTF id of `struct xfrm_state`.
    pub state_type: u32,
}

const _: () = assert!(size_of::<NewestSa>() == 48);
