//! The eBPF object: programs for XDP, TC ingress and TC egress around the pure datapath.
//!
//! Built by `cargo xtask build-ebpf` for `bpfel-unknown-none` alone; host builds leave this bin out.
#![no_std]
#![no_main]
// One move, see glue/opaque.rs: stable Rust has inline assembly for other targets only.
#![feature(asm_experimental_arch)]

mod glue;
mod object;
mod programs;
