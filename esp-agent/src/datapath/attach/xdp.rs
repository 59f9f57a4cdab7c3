//! The XDP program of an interface.

use super::{
    Target,
    link::{keep, refused, unpin},
};
use crate::datapath::{DatapathError, pins::Pins};
use aya::programs::{
    ProgramInfo, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    loaded_programs,
    xdp::XdpLink,
};
use esp_common::{IfaceSlot, names};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

/// The program for a mode.
pub(super) const fn program(how: u8) -> &'static str {
    if how == IfaceSlot::XDP_NATIVE_FRAGS { names::PROG_XDP_FRAGS } else { names::PROG_XDP }
}

/// Attaches it in mode `how`, or replaces the one of an earlier agent that was in the same mode. Where there is a `foreign`
/// program it is refused.
pub(super) fn attach(
    pins: &Pins,
    program: &mut Xdp,
    target: &Target,
    how: u8,
    earlier: u8,
    foreign: Option<u32>,
) -> Result<(), DatapathError> {
    let name = names::PROG_XDP;
    let path = pins.link(&target.name, name);
    if how == earlier && path.exists() && update_xdp(program, &path).is_some() {
        return Ok(());
    }
    // Another mode, or the link of an interface that is no more.
    unpin(pins, &target.name, name)?;
    if let Some(id) = foreign {
        return Err(DatapathError::ForeignXdp { iface: target.name.clone(), name: program_name(id), id });
    }
    let (mode, how) = match how {
        IfaceSlot::XDP_NATIVE | IfaceSlot::XDP_NATIVE_FRAGS => (XdpMode::Driver, "native"),
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

/// Names of the programs that were loaded when the agent started. Only `CAP_SYS_ADMIN` may ask the kernel for them
/// (`bpf_prog_get_fd_by_id` in kernel/bpf/syscall.c), and the agent gives that up.
static NAMES: OnceLock<BTreeMap<u32, String>> = OnceLock::new();

/// Learns the names while that is permitted, to say later whose program is in the way.
pub fn learn_names() {
    let name = |program: ProgramInfo| Some((program.id(), program.name_as_str()?.to_owned()));
    NAMES.get_or_init(|| loaded_programs().flatten().filter_map(name).collect());
}

/// Empty for a program that was loaded later.
fn program_name(id: u32) -> String {
    NAMES.get().and_then(|names| names.get(&id)).cloned().unwrap_or_default()
}
