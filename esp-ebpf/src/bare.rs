//! The datapath's loads from a frame without the rest of it, for objects that only the bench has. What a frame asks of its
//! neighbours in `glue/` is answered with nothing here, so that none of their maps is made.

#[expect(dead_code, reason = "the datapath has other programs than these objects")]
#[path = "glue/frame.rs"]
pub(crate) mod frame;
#[path = "glue/opaque.rs"]
mod opaque;
#[expect(unused_macros, unused_imports, reason = "nothing is written here")]
#[path = "glue/word.rs"]
mod word;

/// Nothing is sent on.
mod forward {
    use aya_ebpf::bindings::xdp_md;
    use esp_datapath::parse::Ip;

    #[inline(always)] // folds into a constant
    pub(super) fn forward(_: *mut xdp_md, _: usize, _: usize, _: &Ip) -> bool {
        false
    }
}

/// The kernel is not asked.
mod sad {
    use aya_ebpf::bindings::xdp_md;
    use esp_common::{Addr, Spi};

    #[inline(always)] // folds into a constant
    pub(super) fn has(_: *mut xdp_md, _: &Addr, _: Spi) -> Option<bool> {
        None
    }
}

/// Nothing is handed over.
mod steer {
    #[inline(always)] // folds into a constant
    pub(super) fn esp_hand(_: u32) -> u32 {
        0
    }

    #[inline(always)] // as above
    pub(super) fn esp_hand_frags(_: u32) -> u32 {
        0
    }
}
