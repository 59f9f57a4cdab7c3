//! The SA that the kernel got last, read where it lies: some ten loads, where to ask for an SPI is two calls.
//!
//! `__xfrm_state_insert` puts each SA in front of all others of its namespace (net/xfrm/xfrm_state.c, Linux 6.8 to 7.3). The
//! two functions are no calls: the verifier makes moves of them (kernel/bpf/verifier.c, `fixup_kfunc_call`). What is read
//! behind them may be gone: such a load gives 0 then, or what another SA left.

use aya_ebpf::bindings::xdp_md;
use core::ptr::read_volatile;
use esp_common::{Newest, NewestSa, SadLayout};

/// [`esp_common::names::GLOBAL_SAD`].
#[unsafe(no_mangle)]
static SAD: SadLayout = SadLayout {
    rxq: 0,
    dev: 0,
    net: 0,
    last: 0,
    count: 0,
    all: 0,
    spi: 0,
    daddr: 0,
    proto: 0,
    mark: 0,
    mask: 0,
    state_type: 0,
};

unsafe extern "C" {
    fn bpf_cast_to_kern_ctx(ctx: *mut xdp_md) -> *const u8;
    fn bpf_rdonly_cast(object: *const u8, btf_id: u32) -> *const u8;
}

/// Which it is, in the namespace of the interface; `None` where it cannot be read.
#[inline(always)] // the verifier follows the pointers
pub(super) fn newest(ctx: *mut xdp_md) -> Option<Newest> {
    let (net, state) = last(ctx)?;
    // SAFETY: as in `last`.
    Some(unsafe { told(net, state) })
}

/// The same, and what else tells which it is.
#[inline(always)] // one call site
pub(crate) fn newest_sa(ctx: *mut xdp_md) -> Option<NewestSa> {
    let (net, state) = last(ctx)?;
    let mut daddr = [[0; 4]; 4];
    // SAFETY: as in `last`; a destination has four words.
    unsafe {
        for (at, word) in daddr.iter_mut().enumerate() {
            *word = read::<u32>(state.byte_add(at * size_of::<u32>()), &raw const SAD.daddr).to_ne_bytes();
        }
        Some(NewestSa {
            newest: told(net, state),
            daddr: bytemuck::cast(daddr),
            mark: read(state, &raw const SAD.mark),
            mask: read(state, &raw const SAD.mask),
            proto: read(state, &raw const SAD.proto),
            pad: [0; 7],
        })
    }
}

/// The namespace, and its newest SA; where there is none, what lies before the head of the list.
#[inline(always)] // as above
fn last(ctx: *mut xdp_md) -> Option<(*const u8, *const u8)> {
    // SAFETY: constants of this object, offsets of fields that have these types. The verifier knows them and has checked
    // each load against the kernel's BTF; where they are zero it never comes here.
    unsafe {
        let state_type = read_volatile(&raw const SAD.state_type);
        if state_type == 0 {
            return None;
        }
        let buff = bpf_cast_to_kern_ctx(ctx);
        let rxq: *const u8 = read(buff, &raw const SAD.rxq);
        let dev: *const u8 = read(rxq, &raw const SAD.dev);
        let net: *const u8 = read(dev, &raw const SAD.net);
        let link: *const u8 = read(net, &raw const SAD.last);
        let state = link.wrapping_byte_sub(read_volatile(&raw const SAD.all) as usize);
        Some((net, bpf_rdonly_cast(state, state_type)))
    }
}

/// # Safety
/// The two are what `last` gave.
#[inline(always)] // two loads
unsafe fn told(net: *const u8, state: *const u8) -> Newest {
    // SAFETY: as the caller says.
    let (spi, count) = unsafe { (read(state, &raw const SAD.spi), read(net, &raw const SAD.count)) };
    Newest { at: state.addr() as u64, spi, count }
}

/// A field.
///
/// # Safety
/// The kernel has a `T` there, or the verifier refuses the program.
#[inline(always)] // two loads, the first of a constant
unsafe fn read<T>(object: *const u8, offset: *const u32) -> T {
    // SAFETY: as the caller says.
    unsafe { object.byte_add(read_volatile(offset) as usize).cast::<T>().read_volatile() }
}
