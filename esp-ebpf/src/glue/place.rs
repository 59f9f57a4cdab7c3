//! Constants that the loader sets for each interface, and the settings in force.

use super::maps::settings;
use aya_ebpf::helpers::generated::bpf_jiffies64;
use core::ptr::read_volatile;
use esp_datapath::{Link, Place};

/// [`esp_common::names::GLOBAL_IFACE`].
#[unsafe(no_mangle)]
static IFACE: u32 = 0;
/// [`esp_common::names::GLOBAL_OUTER_AT_TC`].
#[unsafe(no_mangle)]
static OUTER_AT_TC: u32 = 0;
/// [`esp_common::names::GLOBAL_NO_ETHERNET`].
#[unsafe(no_mangle)]
static NO_ETHERNET: u32 = 0;

/// Where this program stands; `None`, which never is, passes the packet.
#[inline(always)] // the loads of constants fold into the programs
pub(crate) fn place() -> Option<Place<'static>> {
    let settings = settings()?;
    // SAFETY: the helper takes no argument and is there since Linux 5.6; the verifier makes one load of it.
    let now_ns = settings.now_ns(unsafe { bpf_jiffies64() });
    Some(Place {
        iface: iface() as u16,
        link: if constant(&NO_ETHERNET) == 0 { Link::Ethernet } else { Link::Ip },
        outer_at_tc: constant(&OUTER_AT_TC) != 0,
        settings,
        now_ns,
    })
}

#[inline(always)] // as above
fn constant(global: &'static u32) -> u32 {
    // SAFETY: a reference to a static of this object; volatile because the loader writes it before it is loaded.
    unsafe { read_volatile(global) }
}

/// The interface's slot.
#[inline(always)] // as above
pub(crate) fn iface() -> u32 {
    constant(&IFACE)
}
