//! The XDP program of an interface.

use super::{
    Target,
    link::{keep, refused, unpin},
};
use crate::datapath::{DatapathError, pins::Pins};
use aya::programs::{
    Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    loaded_programs,
    xdp::XdpLink,
};
use esp_common::{IfaceSlot, names};
use std::path::Path;

/// Attaches it in mode `how`, or replaces the one of an earlier agent that was in the same mode.
pub(super) fn attach(
    pins: &Pins,
    program: &mut Xdp,
    target: &Target,
    how: u8,
    earlier: u8,
) -> Result<(), DatapathError> {
    let name = names::PROG_XDP;
    let path = pins.link(&target.name, name);
    if how == earlier && path.exists() && update_xdp(program, &path).is_some() {
        return Ok(());
    }
    // Another mode, or the link of an interface that is no more.
    let ours = path.exists();
    unpin(pins, &target.name, name)?;
    if let (Some(id), false) = (target.xdp_program, ours) {
        return Err(DatapathError::ForeignXdp { iface: target.name.clone(), name: program_name(id), id });
    }
    let (mode, how) = match how {
        IfaceSlot::XDP_NATIVE => (XdpMode::Driver, "native"),
        _ => (XdpMode::Skb, "generic"),
    };
    let failed = |source| refused(name, target, how, source);
    let id = program.attach_to_if_index(target.ifindex, mode).map_err(failed)?;
    let link = program.take_link(id).map_err(failed)?;
    keep(link.try_into(), pins, target, name)
}

/// Replaces the program behind a pinned link. `None` when the link cannot take it, as that of an interface that is no
/// more: the caller attaches anew, and that says what is wrong.
fn update_xdp(program: &mut Xdp, path: &Path) -> Option<()> {
    let link = XdpLink::try_from(FdLink::from(PinnedLink::from_pin(path).ok()?)).ok()?;
    let id = program.attach_to_link(link).ok()?;
    // The pin holds the link; dropping our handle closes it without detaching.
    FdLink::try_from(program.take_link(id).ok()?).map(drop).ok()
}

fn program_name(id: u32) -> String {
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    program.and_then(|program| program.name_as_str().map(str::to_owned)).unwrap_or_default()
}
