//! The one file with raw loads from packets, but for forward.rs, which writes too.

use super::{
    forward::forward,
    opaque::{opaque, settled},
    sad, steer,
    word::load,
};
use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_xfrm_state,
    helpers::generated::{bpf_skb_get_xfrm_state, bpf_xdp_get_buff_len},
};
use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use core::mem::zeroed;
use esp_common::{Addr, InnerKey, Spi};
use esp_datapath::{Packet, parse::Ip};

/// Offsets that the parser reaches: two VLAN tags, a full IPv4 header or six IPv6 extension headers of up to 2 KiB.
/// The verifier wants a bound below 64 KiB on anything added to a packet pointer (`MAX_PACKET_OFF`).
const MAX_OFFSET: usize = 0x3fff;

/// Bytes of an skb that are made linear, so that direct loads see all usual headers.
const LINEAR: u32 = 192;

/// A VLAN tag (IEEE 802.1Q).
const TAG: u32 = 4;

/// `XFRM_MAX_DEPTH`: SAs that one packet can come through.
const MAX_DEPTH: u32 = 6;

/// `ETH_P_IP`, `ETH_P_IPV6`, `IPPROTO_TCP`.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TCP: u8 = 6;

/// `AF_INET`.
const AF_INET: u16 = 2;

/// A frame in the kernel's memory.
pub(crate) struct Frame {
    data: usize,
    end: usize,
    len: u32,
    skb: Option<*mut __sk_buff>,
    xdp: Option<*mut xdp_md>,
    frags: bool,
}

impl Frame {
    #[inline(always)] // packet pointers do not survive a call
    pub(crate) fn of_xdp(ctx: &XdpContext) -> Self {
        let (data, end) = (ctx.data(), ctx.data_end());
        Self {
            data,
            end,
            len: end.wrapping_sub(data) as u32,
            skb: None,
            xdp: Some(ctx.as_ptr().cast()),
            frags: false,
        }
    }

    /// Headers are in the first of its buffers: drivers fill that with kilobytes.
    #[inline(always)] // packet pointers do not survive a call
    pub(crate) fn of_xdp_frags(ctx: &XdpContext) -> Self {
        let linear = Self::of_xdp(ctx);
        // SAFETY: the program's context.
        let len = unsafe { bpf_xdp_get_buff_len(ctx.as_ptr().cast()) };
        Self { len: len as u32, frags: true, ..linear }
    }

    #[inline(always)] // packet pointers do not survive a call
    pub(crate) fn of_skb(ctx: &TcContext) -> Self {
        let (data, end, want) = (ctx.data(), ctx.data_end(), ctx.len().min(LINEAR));
        let there = Self { data, end, len: ctx.len(), skb: None, xdp: None, frags: false };
        if (end.wrapping_sub(data) as u32) < want && !there.is_tcp() {
            // Where it fails the headers that are not linear read as truncated: counted and passed.
            _ = ctx.pull_data(want);
        }
        let skb: *mut __sk_buff = ctx.as_ptr().cast();
        // The kernel moves the outer tag from the frame to the skb before TC ingress (`skb_vlan_untag`) and back behind
        // TC egress: counted, so that a frame is as long here as it is on the wire and at XDP.
        // SAFETY: `skb` is the program's context.
        let tag = if unsafe { (*skb).vlan_present } == 0 { 0 } else { TAG };
        Self { data: ctx.data(), end: ctx.data_end(), len: ctx.len() + tag, skb: Some(skb), ..there }
    }
}

impl Frame {
    /// TCP in a header without options, its ports linear: nothing more is read of it. The payload of bulk transfers is not
    /// linear, and to pull it in would copy some of it for each packet.
    #[inline(always)] // packet pointers do not survive a call
    fn is_tcp(&self) -> bool {
        let Some([a, b, first, _, _, _, _, _, six, _, _, four]) = self.load::<12>(12) else {
            return false;
        };
        match (u16::from_be_bytes([a, b]), first) {
            (IPV4, 0x45) => four == TCP && self.load::<4>(34).is_some(),
            (IPV6, _) => six == TCP && self.load::<4>(54).is_some(),
            _ => false,
        }
    }
}

impl Packet for Frame {
    #[inline(always)] // one field
    fn len(&self) -> u32 {
        self.len
    }

    #[inline(always)] // the verifier must see the comparison and the load together
    fn load<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let offset = offset as usize;
        if offset > MAX_OFFSET {
            return None;
        }
        let start = opaque(self.data.wrapping_add(offset) as u64) as usize;
        if start.wrapping_add(N) > self.end {
            return None;
        }
        // SAFETY: the line above proved that N bytes from `start` lie before the frame's end.
        Some(unsafe { bytes(start) })
    }

    #[inline(always)] // one load
    fn settle(&self, offset: u32) -> u32 {
        settled(offset.into()) as u32 & MAX_OFFSET as u32
    }

    #[inline(always)] // a call
    fn hand(&self, slot: u32) -> bool {
        let handed = if self.frags { steer::esp_hand_frags(slot) } else { steer::esp_hand(slot) };
        handed != 0
    }

    #[inline(always)] // the verifier follows the pointers
    fn forward(&self, ip: &Ip) -> bool {
        match self.xdp {
            Some(ctx) => forward(ctx, self.data, self.end, ip),
            None => false,
        }
    }

    #[inline(always)] // one call site in each program
    fn decrypted_by(&self) -> Option<InnerKey> {
        let skb = self.skb?;
        let mut found = None;
        for depth in 0..MAX_DEPTH {
            // SAFETY: an all-zero `bpf_xfrm_state` is a valid one: integers only.
            let mut state: bpf_xfrm_state = unsafe { zeroed() };
            // SAFETY: `skb` is the program's context, `state` a buffer of the size that is passed. Linux 4.18.
            if unsafe {
                bpf_skb_get_xfrm_state(skb, depth, &mut state, size_of::<bpf_xfrm_state>() as u32, 0)
            } != 0
            {
                break;
            }
            found = Some(inner_key(&state));
        }
        found
    }

    #[inline(always)] // one call site in each program
    fn kernel_has(&self, dst: &Addr, spi: Spi) -> Option<bool> {
        sad::has(self.xdp?, dst, spi)
    }
}

/// `N` bytes of a packet, in as few loads as there can be. LLVM takes words of unknown alignment byte by byte for BPF; the
/// kernel allows them at any address where the machine does (`NET_IP_ALIGN` makes up for it where it does not).
///
/// # Safety
/// The verifier has seen that the bytes are in the packet.
#[inline(always)] // as above
unsafe fn bytes<const N: usize>(start: usize) -> [u8; N] {
    let (mut bytes, mut done) = ([0; N], 0);
    while let Some(word) = chunk::<8>(&mut bytes, done) {
        // SAFETY: as the caller says, here and below.
        *word = unsafe { load!("u64", start.wrapping_add(done)) }.to_ne_bytes();
        done = done.wrapping_add(8);
    }
    if let Some(word) = chunk::<4>(&mut bytes, done) {
        // SAFETY: as above.
        *word = (unsafe { load!("u32", start.wrapping_add(done)) } as u32).to_ne_bytes();
        done = done.wrapping_add(4);
    }
    if let Some(word) = chunk::<2>(&mut bytes, done) {
        // SAFETY: as above.
        *word = (unsafe { load!("u16", start.wrapping_add(done)) } as u16).to_ne_bytes();
        done = done.wrapping_add(2);
    }
    if let Some([byte]) = chunk::<1>(&mut bytes, done) {
        // SAFETY: as above.
        *byte = unsafe { load!("u8", start.wrapping_add(done)) } as u8;
    }
    bytes
}

#[inline(always)] // folds into constants
fn chunk<const N: usize>(bytes: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    bytes.get_mut(at..)?.first_chunk_mut()
}

#[inline(always)] // its result is larger than the registers that a BPF call can return
fn inner_key(state: &bpf_xfrm_state) -> InnerKey {
    // SAFETY: both variants are plain integers and the kernel wrote (or we zeroed) all sixteen bytes.
    let (v4, v6) = unsafe { (state.__bindgen_anon_1.remote_ipv4, state.__bindgen_anon_1.remote_ipv6) };
    let remote = if state.family == AF_INET {
        Addr::from_v4(v4.to_ne_bytes())
    } else {
        Addr::from_v6(bytemuck::cast(v6))
    };
    InnerKey { remote, spi: Spi::from_wire(state.spi.to_ne_bytes()), reqid: state.reqid }
}
