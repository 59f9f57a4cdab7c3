//! Programs on interfaces. Links are pinned: they stay when the agent ends, and the next agent replaces the program
//! behind them in one step, so that no packet is missed.

use super::{
    DatapathError, clsact,
    fill::Filler,
    load::{self, Constants, FlushLog, Loaded},
    maps::on,
    pins::{Pins, pin},
};
use crate::config::Sizes;
use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    loaded_programs,
    tc::{SchedClassifierLink, TcAttachOptions},
    xdp::XdpLink,
};
use aya::util::KernelVersion;
use esp_common::{IfaceSlot, iface::IFACE_NAME_LEN, names};
use std::path::Path;

/// Where the outer packet is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum AttachMode {
    /// XDP in the driver, else generic XDP, else TC: what the interface can.
    #[default]
    Auto,
    /// XDP in the driver, or fail.
    Native,
    /// XDP in the generic receive path, or fail.
    Generic,
    /// No XDP program: TC ingress judges the outer packet.
    Tc,
}

/// An interface to attach to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Name.
    pub name: String,
    /// Index.
    pub ifindex: u32,
    /// Its frames have an Ethernet header.
    pub ethernet: bool,
    /// Id of the XDP program that is there now.
    pub xdp_program: Option<u32>,
}

/// How an interface was attached.
pub struct Attached {
    /// As it is kept in the interface table.
    pub slot: IfaceSlot,
    /// Why it is not what one might expect; empty if it is.
    pub note: String,
    /// The log of a debug object.
    pub log: Option<FlushLog>,
}

/// Loads and attaches the programs of one interface. The maps must be filled: the filler that did it is asked for.
///
/// Errors: see [`DatapathError`]. What was attached before an error stays until `detach` or the next start.
pub fn attach(
    pins: &Pins,
    sizes: &Sizes,
    filler: &mut Filler,
    target: &Target,
    mode: AttachMode,
) -> Result<Attached, DatapathError> {
    let (index, mut slot) = reserve(filler, target)?;
    let constants = Constants { slot: index, outer_at_tc: false, no_ethernet: !target.ethernet };
    let (mut loaded, xdp, note) = outer(pins, sizes, target, mode, constants, slot.xdp)?;
    slot.xdp = xdp;
    for (name, side) in
        [(names::PROG_TC_IN, TcAttachType::Ingress), (names::PROG_TC_OUT, TcAttachType::Egress)]
    {
        tc(pins, loaded.tc(name)?, target, name, side, &mut slot)?;
    }
    slot.attached = 1;
    write(filler, index, slot)?;
    Ok(Attached { slot, note, log: loaded.log() })
}

/// Notes in the table that an interface has gone, its links with it.
///
/// Errors: the table cannot be written.
pub fn gone(filler: &mut Filler, name: &str) -> Result<(), DatapathError> {
    if let Some((index, slot)) = find(filler, name)? {
        write(filler, index, IfaceSlot { attached: 0, ..slot })?;
    }
    Ok(())
}

/// True when the programs are on the interface with this name and index.
///
/// Errors: the table cannot be read.
pub fn is_attached(filler: &Filler, name: &str, ifindex: u32) -> Result<bool, DatapathError> {
    Ok(find(filler, name)?.is_some_and(|(_, slot)| slot.attached == 1 && slot.ifindex == ifindex))
}

/// Takes the programs off one interface.
///
/// Errors: a link or filter that could not be removed.
pub async fn detach(pins: &Pins, slot: &IfaceSlot, ifindex: Option<u32>) -> Result<(), DatapathError> {
    for name in [names::PROG_XDP, names::PROG_TC_IN, names::PROG_TC_OUT] {
        unpin(pins, slot.name(), name)?;
    }
    let (Some(ifindex), IfaceSlot::TC_CLSACT) = (ifindex, slot.tc) else {
        return Ok(());
    };
    clsact::detach(slot.name(), TcAttachType::Ingress, names::PROG_TC_IN)?;
    clsact::detach(slot.name(), TcAttachType::Egress, names::PROG_TC_OUT)?;
    if slot.own_clsact == 1 {
        clsact::remove(slot.name(), ifindex).await?;
    }
    Ok(())
}

/// The XDP program if the mode asks for one, else the outer check at TC.
fn outer(
    pins: &Pins,
    sizes: &Sizes,
    target: &Target,
    mode: AttachMode,
    constants: Constants,
    earlier: u8,
) -> Result<(Loaded, u8, String), DatapathError> {
    let wanted: &[u8] = match mode {
        AttachMode::Auto if !target.ethernet => &[],
        AttachMode::Auto => &[IfaceSlot::XDP_NATIVE, IfaceSlot::XDP_GENERIC],
        AttachMode::Native => &[IfaceSlot::XDP_NATIVE],
        AttachMode::Generic => &[IfaceSlot::XDP_GENERIC],
        AttachMode::Tc => &[],
    };
    let mut note = String::new();
    if !wanted.is_empty() {
        let mut loaded = load::programs(pins, sizes, constants)?;
        for how in wanted {
            match xdp(pins, loaded.xdp()?, target, *how, earlier) {
                Ok(()) => return Ok((loaded, *how, note)),
                Err(DatapathError::Attach { source, how, .. }) if mode == AttachMode::Auto => {
                    note = format!("{how} XDP was refused: {}", chain(&source));
                }
                Err(DatapathError::NoHook { how, .. }) if mode == AttachMode::Auto => {
                    note = format!("the driver has no {how} XDP");
                }
                Err(error) => return Err(error),
            }
        }
    }
    unpin(pins, &target.name, names::PROG_XDP)?;
    let loaded = load::programs(pins, sizes, Constants { outer_at_tc: true, ..constants })?;
    Ok((loaded, 0, note))
}

fn xdp(pins: &Pins, program: &mut Xdp, target: &Target, how: u8, earlier: u8) -> Result<(), DatapathError> {
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

fn update_tcx(program: &mut SchedClassifier, path: &Path) -> Option<()> {
    let link = SchedClassifierLink::try_from(FdLink::from(PinnedLink::from_pin(path).ok()?)).ok()?;
    let id = program.attach_to_link(link).ok()?;
    FdLink::try_from(program.take_link(id).ok()?).map(drop).ok()
}

/// TCX where the kernel has it (Linux 6.6), else a filter of clsact.
fn tc(
    pins: &Pins,
    program: &mut SchedClassifier,
    target: &Target,
    name: &'static str,
    side: TcAttachType,
    slot: &mut IfaceSlot,
) -> Result<(), DatapathError> {
    let path = pins.link(&target.name, name);
    if path.exists() && update_tcx(program, &path).is_some() {
        slot.tc = IfaceSlot::TC_TCX;
        return Ok(());
    }
    unpin(pins, &target.name, name)?;
    let order = TcAttachOptions::TcxOrder(LinkOrder::default());
    let failed = |how| move |source| refused(name, target, how, source);
    if KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0)) {
        let id = program.attach_with_options(&target.name, side, order).map_err(failed("tcx"))?;
        let link = program.take_link(id).map_err(failed("tcx"))?;
        slot.tc = IfaceSlot::TC_TCX;
        return keep(link.try_into(), pins, target, name);
    }
    if clsact::ensure(&target.name)? {
        slot.own_clsact = 1;
    }
    clsact::attach(program, &target.name, side).map_err(failed("clsact"))?;
    slot.tc = IfaceSlot::TC_CLSACT;
    Ok(())
}

/// `EOPNOTSUPP` is the driver's answer when it has no XDP (`dev_xdp_install` in net/core/dev.c).
fn refused(name: &'static str, target: &Target, how: &'static str, source: ProgramError) -> DatapathError {
    let iface = target.name.clone();
    if let ProgramError::SyscallError(error) = &source
        && error.io_error.raw_os_error() == Some(libc::EOPNOTSUPP)
    {
        return DatapathError::NoHook { name, iface, how };
    }
    DatapathError::Attach { name, iface, how, source: Box::new(source) }
}

fn keep(
    link: Result<FdLink, aya::programs::links::LinkError>,
    pins: &Pins,
    target: &Target,
    name: &'static str,
) -> Result<(), DatapathError> {
    let iface = target.name.clone();
    let link = link.map_err(|source| DatapathError::Link { name, iface, source: Box::new(source) })?;
    let path = pins.link(&target.name, name);
    link.pin(&path).map(drop).map_err(|error| pin("pin", &path, std::io::Error::other(error)))
}

fn unpin(pins: &Pins, iface: &str, program: &str) -> Result<(), DatapathError> {
    let path = pins.link(iface, program);
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(pin("remove", &path, source)),
    }
}

/// The interface's slot: the one with its name, else a free one, written before anything is attached.
fn reserve(filler: &mut Filler, target: &Target) -> Result<(u32, IfaceSlot), DatapathError> {
    let found = match find(filler, &target.name)? {
        Some(found) => Some(found),
        None => find(filler, "")?,
    };
    let (index, mut slot) = found.ok_or_else(|| DatapathError::TooManyIfaces(target.name.clone()))?;
    if slot.ifindex != target.ifindex {
        // Another device under the name: nothing of ours is on it.
        slot = IfaceSlot { name: padded(&target.name), ifindex: target.ifindex, ..IfaceSlot::default() };
    }
    write(filler, index, slot)?;
    Ok((index, slot))
}

fn find(filler: &Filler, name: &str) -> Result<Option<(u32, IfaceSlot)>, DatapathError> {
    let slots = (0..).zip(filler.maps().ifaces.iter());
    for (index, slot) in slots {
        let slot = slot.map_err(on("read", names::MAP_IFACES))?;
        if slot.name() == name {
            return Ok(Some((index, slot)));
        }
    }
    Ok(None)
}

fn write(filler: &mut Filler, index: u32, slot: IfaceSlot) -> Result<(), DatapathError> {
    filler.maps_mut().ifaces.set(index, slot, 0).map_err(on("write", names::MAP_IFACES))
}

fn padded(name: &str) -> [u8; IFACE_NAME_LEN] {
    let mut bytes = [0; IFACE_NAME_LEN];
    for (slot, byte) in bytes.iter_mut().take(IFACE_NAME_LEN - 1).zip(name.bytes()) {
        *slot = byte;
    }
    bytes
}

fn program_name(id: u32) -> String {
    let program = loaded_programs().flatten().find(|program| program.id() == id);
    program.and_then(|program| program.name_as_str().map(str::to_owned)).unwrap_or_default()
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
