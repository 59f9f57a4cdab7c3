//! Programs on interfaces. Links are pinned: they stay when the agent ends, and the next agent replaces the program
//! behind them in one step, so that no packet is missed.

mod detach;
mod link;
mod slot;
mod tc;
mod xdp;

pub use xdp::learn_names;

use super::{
    DatapathError, clsact,
    fill::Filler,
    load::{self, Constants, FlushLog, Loaded},
    maps::on,
    pins::Pins,
};
use crate::config::Sizes;
use aya::{
    maps::{MapError, xdp::XdpMapError},
    programs::TcAttachType,
};
use esp_common::{IfaceSlot, SadLayout, names};
use link::unpin;
use slot::{find, reserve, write};
use std::io;

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
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Id of the XDP program that is there now.
    pub xdp_program: Option<u32>,
    /// Where this kernel keeps its SAs; zero where the datapath is to ask it.
    pub sad: SadLayout,
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
    let constants = Constants {
        slot: index,
        no_ethernet: !target.ethernet,
        sad: target.sad,
        mac: target.mac,
        ..Constants::default()
    };
    let (mut loaded, xdp, note) = outer(pins, sizes, target, mode, constants, slot.xdp)?;
    slot.xdp = xdp;
    for (name, side) in
        [(names::PROG_TC_IN, TcAttachType::Ingress), (names::PROG_TC_OUT, TcAttachType::Egress)]
    {
        tc::attach(pins, loaded.tc(name)?, target, name, side, &mut slot)?;
    }
    slot.attached = 1;
    write(filler, index, slot)?;
    if target.ethernet {
        port(filler, target.ifindex)?;
    }
    Ok(Attached { slot, note, log: loaded.log() })
}

/// Lets transit leave by an interface. The kernel takes one that goes away out of the map itself (`dev_map_notification`).
fn port(filler: &mut Filler, ifindex: u32) -> Result<(), DatapathError> {
    let ports = &mut filler.maps_mut().ports;
    ports.insert(ifindex, ifindex, None, 0).map_err(|error| {
        on("write", names::MAP_PORTS)(match error {
            XdpMapError::MapError(source) => source,
            // No program is chained here.
            other @ XdpMapError::ChainedProgramNotSupported => MapError::IoError(io::Error::other(other)),
        })
    })
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
        AttachMode::Auto => &[IfaceSlot::XDP_NATIVE, IfaceSlot::XDP_NATIVE_FRAGS, IfaceSlot::XDP_GENERIC],
        AttachMode::Native => &[IfaceSlot::XDP_NATIVE, IfaceSlot::XDP_NATIVE_FRAGS],
        AttachMode::Generic => &[IfaceSlot::XDP_GENERIC],
        AttachMode::Tc => &[],
    };
    let mut note = String::new();
    if !wanted.is_empty() {
        let mut loaded = load::programs(pins, sizes, constants)?;
        // What is there is ours if we have its link, whatever becomes of that.
        let ours = pins.link(&target.name, names::PROG_XDP).exists();
        let foreign = target.xdp_program.filter(|_| !ours);
        // The way of an earlier agent first: a link that is there only changes its program.
        let mut ways = wanted.to_vec();
        ways.sort_by_key(|how| *how != earlier);
        for (left, how) in (0..ways.len()).rev().zip(ways) {
            let another = left > 0 || mode == AttachMode::Auto;
            match xdp::attach(pins, loaded.xdp(xdp::program(how))?, target, how, earlier, foreign) {
                // That one buffer is too small for a frame is nothing to be told.
                Ok(()) if how == IfaceSlot::XDP_NATIVE_FRAGS => return Ok((loaded, how, String::new())),
                Ok(()) => return Ok((loaded, how, note)),
                Err(DatapathError::Attach { source, how, .. }) if another => {
                    note = format!("{how} XDP was refused: {}", chain(&source));
                }
                Err(DatapathError::NoHook { how, .. }) if another => {
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

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
