//! The bench's packets for rules: each takes other fields from a list, then asks the rules, or two tries of prefixes.
//!
//! An object of its own, so that nothing of it is in the datapath's; what asks the rules is the datapath's file.
#![no_std]
#![no_main]
// As in main.rs.
#![feature(asm_experimental_arch)]

#[path = "glue/classifier.rs"]
mod classifier;
mod object;
#[path = "glue/opaque.rs"]
mod opaque;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, LpmTrie, lpm_trie::Key},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use core::ptr::read_volatile;
use esp_common::classifier::unpack;

/// Packets in the list, less one.
const MASK: u32 = 4_095;
/// More prefixes than any rule set has.
const PREFIXES: usize = 8_192;

/// Packed fields.
#[btf_map]
static PACKETS: Array<[u64; 5], { MASK as usize + 1 }> = Array::new();
/// Packets that were asked about, then those that something was found for.
#[btf_map]
static COUNTS: Array<u64, 2> = Array::new();
#[btf_map]
static SOURCES: LpmTrie<[u8; 4], u32, PREFIXES> = LpmTrie::new();
#[btf_map]
static DESTINATIONS: LpmTrie<[u8; 4], u32, PREFIXES> = LpmTrie::new();

/// Where the list goes on.
static mut NEXT: u32 = 0;

/// What the others do beside asking.
#[xdp]
pub(crate) fn esp_select_none(_: XdpContext) -> u32 {
    counted(|[a, b, c, d, e]| a ^ b ^ c ^ d ^ e == 0)
}

/// Asks the rules of the datapath.
#[xdp]
pub(crate) fn esp_select_rules(_: XdpContext) -> u32 {
    counted(|packet| {
        let (packet, bank) = unpack(packet);
        classifier::demanded(bank, &packet).is_some()
    })
}

/// Looks both addresses up.
#[xdp]
pub(crate) fn esp_select_tries(_: XdpContext) -> u32 {
    counted(|[_, src, _, dst, _]| {
        let found = SOURCES.get(&key(src)).is_some();
        DESTINATIONS.get(&key(dst)).is_some() & found
    })
}

/// The last four bytes of an address.
#[inline(always)] // a shift
fn key(word: u64) -> Key<[u8; 4]> {
    Key::new(u32::BITS, ((word >> u32::BITS) as u32).to_ne_bytes())
}

/// Takes the next packet. The list is in no order, so there is none to be guessed.
#[inline(always)] // the body of three programs
fn counted(ask: impl FnOnce([u64; 5]) -> bool) -> u32 {
    // SAFETY: a static of this object; BPF_PROG_TEST_RUN runs one program at a time here.
    let next = unsafe {
        let next = read_volatile(&raw const NEXT);
        (&raw mut NEXT).write_volatile(next.wrapping_add(1));
        next
    };
    let Some(packet) = PACKETS.get(next & MASK) else {
        return xdp_action::XDP_ABORTED;
    };
    let found = u64::from(ask(*packet));
    for (index, more) in [(0, 1), (1, found)] {
        if let Some(count) = COUNTS.get_ptr_mut(index) {
            // SAFETY: as above.
            unsafe { *count = (*count).wrapping_add(more) };
        }
    }
    xdp_action::XDP_PASS
}
