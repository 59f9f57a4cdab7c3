//! Whether the kernel's newest SA is one that we know: then the datapath need not ask for an SPI that the maps do not have.
//!
//! Whoever gives the kernel an SA does so under one lock, in which its event is sent too (`xfrm_cfg_mutex`): the events come
//! in the order in which the SAs came. So where the newest is known, and there are as many as we know, all are. What
//! `allocspi` and the kernel itself put in tells nobody; it is counted, and so the kernel is asked while it is there.

use super::{DatapathError, btf, tellers::told};
use crate::picture::Picture;
use crate::xfrm::model::{Mark, SaId};
use aya::programs::Xdp;
use esp_common::{Newest, NewestSa, SadLayout, Spi};
use std::net::{IpAddr, Ipv6Addr};

/// The fields that are read; `None` where the kernel has no such fields, or does not tell.
pub(super) fn layout() -> Option<SadLayout> {
    let bytes = std::fs::read(btf::KERNEL).ok()?;
    let types = btf::Types::parse(&bytes)?;
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
}

/// Which it is in this thread's network namespace, as the program tells.
///
/// # Errors
/// [`DatapathError::Newest`].
pub fn ask(program: &Xdp) -> Result<NewestSa, DatapathError> {
    let out = told(program).map_err(DatapathError::Newest)?;
    let sa = out.first_chunk::<{ size_of::<NewestSa>() }>();
    Ok(sa.map(|bytes| bytemuck::pod_read_unaligned(bytes)).unwrap_or_default())
}

/// What was told, if it and all others are in the picture; else what no SA is.
pub(super) fn known(picture: &Picture, told: &NewestSa) -> Newest {
    let all = u32::try_from(picture.sas.len()).is_ok_and(|count| count == told.newest.count);
    let known = all && (told.newest.count == 0 || is_in(picture, told));
    if known { told.newest } else { Newest::default() }
}

fn is_in(picture: &Picture, told: &NewestSa) -> bool {
    let [a, b, c, d, ..] = told.daddr;
    let addresses = [IpAddr::from([a, b, c, d]), IpAddr::V6(Ipv6Addr::from(told.daddr))];
    let (spi, proto) = (Spi::from_wire(told.newest.spi.to_ne_bytes()), told.proto);
    let mark = Mark { value: told.mark, mask: told.mask };
    addresses.into_iter().any(|dst| picture.sas.contains_key(&SaId { dst, spi, proto, mark }))
}
