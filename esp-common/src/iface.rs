//! The table of interfaces: a slot keeps its meaning for as long as the pinned maps live.

use bytemuck::{Pod, Zeroable};

/// Longest interface name with its zero (`IFNAMSIZ`).
pub const IFACE_NAME_LEN: usize = 16;

/// One interface of the agent.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Pod, Zeroable)]
pub struct IfaceSlot {
    /// Name, zero-padded; all zero is a free slot.
    pub name: [u8; IFACE_NAME_LEN],
    /// Index in the kernel when the programs were attached last.
    pub ifindex: u32,
    /// How the programs are attached: one of [`IfaceSlot::XDP_NATIVE`], [`IfaceSlot::XDP_NATIVE_FRAGS`],
    /// [`IfaceSlot::XDP_GENERIC`], 0 for TC only.
    pub xdp: u8,
    /// One of [`IfaceSlot::TC_TCX`], [`IfaceSlot::TC_CLSACT`].
    pub tc: u8,
    /// 1 when the agent made the clsact qdisc and takes it away again.
    pub own_clsact: u8,
    /// 1 while attached.
    pub attached: u8,
}

impl IfaceSlot {
    /// XDP in the driver.
    pub const XDP_NATIVE: u8 = 1;
    /// XDP in the generic receive path.
    pub const XDP_GENERIC: u8 = 2;
    /// XDP in the driver, which spreads a frame over several buffers (Linux 5.18).
    pub const XDP_NATIVE_FRAGS: u8 = 3;
    /// TC programs are TCX links.
    pub const TC_TCX: u8 = 1;
    /// TC programs are filters of a clsact qdisc.
    pub const TC_CLSACT: u8 = 2;

    /// The name as text; empty for a free slot or one that is not UTF-8.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(IFACE_NAME_LEN);
        self.name.get(..end).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or("")
    }
}

const _: () = assert!(size_of::<IfaceSlot>() == 24);
