//! Whether the kernel's newest SA is one that we know: then the datapath need not ask for an SPI that the maps do not have.
//!
//! Whoever gives the kernel an SA does so under one lock, in which its event is sent too (`xfrm_cfg_mutex`): the events come
//! in the order in which the SAs came. So where the newest is known, and there are as many as we know, all are. What
//! `allocspi` and the kernel itself put in tells nobody; it is counted, and so the kernel is asked while it is there.

use super::{DatapathError, btf, load, pins::Pins};
use crate::config::Sizes;
use crate::picture::Picture;
use crate::xfrm::model::{Mark, SaId};
use aya::{
    Ebpf, TestRun as _,
    programs::{TestRunOptions, Xdp},
};
use esp_common::{Newest, NewestSa, SadLayout, Spi, names};
use std::net::{IpAddr, Ipv6Addr};

/// The program that tells, in the kernel. It is never attached.
pub struct Teller {
    ebpf: Ebpf,
    layout: SadLayout,
}

/// Room for a [`NewestSa`].
const FRAME: [u8; 64] = [0; 64];

impl Teller {
    /// Loads it. `None` on a kernel that cannot be asked for an SA, or whose SAs cannot be read: there the datapath goes on
    /// without.
    ///
    /// # Errors
    /// The object cannot be loaded, or has no such program.
    pub fn new(pins: &Pins, sizes: &Sizes) -> Result<Option<Self>, DatapathError> {
        let Some(layout) = layout()? else { return Ok(None) };
        let mut ebpf = load::loader(pins, sizes, load::Constants { sad: layout, ..Default::default() })?;
        let program = ebpf.program_mut(names::PROG_NEWEST).and_then(|program| program.try_into().ok());
        let program: &mut Xdp = program.ok_or(DatapathError::NoProgram(names::PROG_NEWEST))?;
        if let Err(error) = program.load() {
            tracing::warn!("each packet with an unknown SPI asks the kernel, which is slower: {error}");
            return Ok(None);
        }
        Ok(Some(Self { ebpf, layout }))
    }

    /// Where this kernel keeps its SAs.
    #[must_use]
    pub fn layout(&self) -> SadLayout {
        self.layout
    }

    /// The kernel's newest SA, if it and all others are in the picture; else what no SA is.
    ///
    /// # Errors
    /// [`DatapathError::Newest`].
    pub fn known(&self, picture: &Picture) -> Result<Newest, DatapathError> {
        let program = self.ebpf.program(names::PROG_NEWEST).and_then(|program| program.try_into().ok());
        let told = ask(program.ok_or(DatapathError::NoProgram(names::PROG_NEWEST))?)?;
        let all = u32::try_from(picture.sas.len()).is_ok_and(|count| count == told.newest.count);
        let known = all && (told.newest.count == 0 || is_in(picture, &told));
        Ok(if known { told.newest } else { Newest::default() })
    }
}

/// The fields that are read; `None` where the kernel cannot be asked, or has no such fields.
///
/// # Errors
/// The binary has no object.
pub fn layout() -> Result<Option<SadLayout>, DatapathError> {
    if !super::object::asks_kernel()? {
        return Ok(None);
    }
    Ok(std::fs::read(btf::KERNEL).ok().as_deref().and_then(btf::Types::parse).and_then(|types| {
        Some(SadLayout {
            rxq: types.offset("xdp_buff", &["rxq"])?,
            dev: types.offset("xdp_rxq_info", &["dev"])?,
            net: types.offset("net_device", &["nd_net", "net"])?,
            last: types.offset("net", &["xfrm", "state_all", "next"])?,
            count: types.offset("net", &["xfrm", "state_num"])?,
            all: types.offset("xfrm_state", &["km", "all"])?,
            spi: types.offset("xfrm_state", &["id", "spi"])?,
            daddr: types.offset("xfrm_state", &["id", "daddr"])?,
            proto: types.offset("xfrm_state", &["id", "proto"])?,
            mark: types.offset("xfrm_state", &["mark", "v"])?,
            mask: types.offset("xfrm_state", &["mark", "m"])?,
            state_type: types.structure("xfrm_state")?,
        })
    }))
}

/// Runs the program, in this thread's network namespace.
///
/// # Errors
/// [`DatapathError::Newest`].
pub fn ask(program: &Xdp) -> Result<NewestSa, DatapathError> {
    let mut out = [0; FRAME.len()];
    let options = TestRunOptions { data_in: Some(&FRAME), data_out: Some(&mut out), ..TestRunOptions::new() };
    program.test_run(options).map_err(|error| DatapathError::Newest(std::io::Error::other(error)))?;
    Ok(out
        .first_chunk::<{ size_of::<NewestSa>() }>()
        .map(|bytes| bytemuck::pod_read_unaligned(bytes))
        .unwrap_or_default())
}

fn is_in(picture: &Picture, told: &NewestSa) -> bool {
    let [a, b, c, d, ..] = told.daddr;
    let addresses = [IpAddr::from([a, b, c, d]), IpAddr::V6(Ipv6Addr::from(told.daddr))];
    let (spi, proto) = (Spi::from_wire(told.newest.spi.to_ne_bytes()), told.proto);
    let mark = Mark { value: told.mark, mask: told.mask };
    addresses.into_iter().any(|dst| picture.sas.contains_key(&SaId { dst, spi, proto, mark }))
}
