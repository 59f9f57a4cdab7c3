//! The kernel's own SAD, asked at XDP for what our table does not have (yet).
//!
//! Both functions are kfuncs of Linux 6.8 (net/xfrm/xfrm_state_bpf.c). aya 0.14 cannot resolve such calls: the agent
//! writes them over before it loads the object, and where the kernel has none they answer nothing.

use super::{maps::settings, newest::newest};
use aya_ebpf::bindings::xdp_md;
use core::ffi::c_void;
use esp_common::{Addr, Spi};

/// `struct bpf_xfrm_state_opts` of net/xfrm/xfrm_state_bpf.c.
#[repr(C)]
struct Options {
    error: i32,
    netns_id: i32,
    mark: u32,
    daddr: [u8; 16],
    spi: [u8; 4],
    proto: u8,
    pad: u8,
    family: u16,
}

const _: () = assert!(size_of::<Options>() == 36);

/// `BPF_F_CURRENT_NETNS`: that of the interface.
const CURRENT_NETNS: i32 = -1;
/// `IPPROTO_ESP`, `AF_INET`, `AF_INET6`.
const ESP: u8 = 50;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

unsafe extern "C" {
    fn bpf_xdp_get_xfrm_state(ctx: *mut xdp_md, options: *mut Options, size: u32) -> *mut c_void;
    fn bpf_xdp_xfrm_state_release(state: *mut c_void);
}

/// Whether it has an SA for ESP, one without a mark; `None` if it cannot be asked.
#[inline(always)] // one call site
pub(super) fn has(ctx: *mut xdp_md, dst: &Addr, spi: Spi) -> Option<bool> {
    if is_known_whole(ctx) {
        return Some(false);
    }
    let (daddr, family) = kernel_address(dst);
    let mut options = Options {
        error: 0,
        netns_id: CURRENT_NETNS,
        mark: 0,
        daddr,
        spi: spi.wire(),
        proto: ESP,
        pad: 0,
        family,
    };
    // SAFETY: `ctx` is the program's context and `options` has the size that is passed.
    let state = unsafe { bpf_xdp_get_xfrm_state(ctx, &raw mut options, size_of::<Options>() as u32) };
    if state.is_null() {
        // It says why it has none; what stands for a kfunc that is not there says nothing.
        return (options.error != 0).then_some(false);
    }
    // SAFETY: the reference that was taken above.
    unsafe { bpf_xdp_xfrm_state_release(state) };
    Some(true)
}

/// True when the kernel's newest SA is one that the maps are complete of: what they do not have, it has not.
#[inline(always)] // one call site
fn is_known_whole(ctx: *mut xdp_md) -> bool {
    let known = settings().map(|settings| &raw const settings.newest);
    // SAFETY: a pointer into the map. The agent may write at any time: half a record matches no SA.
    known.is_some_and(|known| newest(ctx) == Some(unsafe { known.read_volatile() }))
}

/// `xfrm_address_t`: an IPv4 address stands in its first four bytes.
#[inline(always)] // its result is larger than the registers that a BPF call can return
fn kernel_address(addr: &Addr) -> ([u8; 16], u16) {
    let octets = addr.octets();
    if !addr.is_v4() {
        return (octets, AF_INET6);
    }
    let [_, _, _, _, _, _, _, _, _, _, _, _, a, b, c, d] = octets;
    ([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], AF_INET)
}
