//! The bench's baseline: the usual design of such a program. The kernel's hash map from destination and SPI to an index, an array of
//! counters for each CPU, totals; what is not in the map is dropped.
//!
//! An object of its own, so that nothing of it is in the datapath's. Parser and loads are the datapath's: what differs is
//! behind them.
#![no_std]
#![no_main]
// As in main.rs.
#![feature(asm_experimental_arch)]

mod bare;
mod object;

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{HashMap, PerCpuArray},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use bare::frame::Frame;
use esp_common::{Counter, FlowKey, Wire};
use esp_datapath::{
    Link, Packet as _,
    parse::{self, Upper},
};

/// More SAs than the bench has; it makes the maps as large as it needs them.
const SAS: usize = 1 << 20;
/// Indices of the totals.
const KNOWN: u32 = 0;
const UNKNOWN: u32 = 1;

/// The index of an SA's counter, and room for what else a policy has.
#[btf_map]
static USUAL_SAS: HashMap<FlowKey, [u32; 4], SAS> = HashMap::new();
#[btf_map]
static USUAL_COUNTERS: PerCpuArray<Counter, SAS> = PerCpuArray::new();
#[btf_map]
static USUAL_TOTALS: PerCpuArray<Counter, 2> = PerCpuArray::new();

/// The port of RFC 3948 and no other.
const WIRE: Wire = Wire { natt_ports: [Wire::NATT; 4], ping_spis: [0; 4], pad: [0; 4] };

/// Counts ESP of an SA and passes it; counts and drops other ESP. What is not ESP passes.
#[xdp]
pub(crate) fn esp_usual(ctx: XdpContext) -> u32 {
    let frame = Frame::of_xdp(&ctx);
    let Ok(ip) = parse::ip(&frame, Link::Ethernet) else {
        return xdp_action::XDP_PASS;
    };
    let (Ok(Upper::Esp(esp)) | Ok(Upper::EspInUdp { esp, .. })) = parse::upper(&frame, &ip, &WIRE) else {
        return xdp_action::XDP_PASS;
    };
    // SAFETY: the bench changes no entry while packets run.
    let Some([index, ..]) = (unsafe { USUAL_SAS.get(FlowKey::new(ip.dst, esp.spi)) }) else {
        count(&USUAL_TOTALS, UNKNOWN, frame.len());
        return xdp_action::XDP_DROP;
    };
    count(&USUAL_COUNTERS, *index, frame.len());
    count(&USUAL_TOTALS, KNOWN, frame.len());
    xdp_action::XDP_PASS
}

#[inline(always)] // the map must be a constant of the call
fn count<const N: usize>(counters: &PerCpuArray<Counter, N>, index: u32, len: u32) {
    if let Some(counter) = counters.get_ptr_mut(index) {
        // SAFETY: this CPU's own copy of the value; XDP runs with migration disabled.
        unsafe {
            (*counter).packets = (*counter).packets.wrapping_add(1);
            (*counter).bytes = (*counter).bytes.wrapping_add(len.into());
        }
    }
}
