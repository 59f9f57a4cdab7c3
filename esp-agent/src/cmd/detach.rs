//! `detach`: takes away exactly what the agent brought.

use crate::apply::apply;
use crate::cli::Global;
use crate::config::Desired;
use crate::datapath::{attach, maps::Maps, pins::Pins, read, upgrade};
use crate::failure::Failure;
use crate::instance::Instance;
use crate::plan::{Observed, Plan, teardown};
use crate::probe;
use crate::record::Record;
use crate::rotation::Rotations;
use crate::xfrm::netlink::Netlink;
use esp_common::IfaceSlot;
use std::io::Write;
use std::process::ExitCode;

/// Takes everything away and prints what it was.
///
/// # Errors
/// An agent still runs, or something could not be removed.
pub fn detach(global: &Global, out: &mut dyn Write) -> Result<ExitCode, Failure> {
    probe::permitted()?;
    let instance = super::instance(global)?;
    let lock = instance.lock()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Task("detach", error.into()))?;
    let gone = runtime.block_on(all(&instance))?;
    drop(lock);
    write!(out, "{}", gone.plan).map_err(Failure::Output)?;
    for iface in gone.ifaces {
        writeln!(out, "- programs on {iface}").map_err(Failure::Output)?;
    }
    writeln!(out, "- maps under {}", instance.pin_dir.display()).map_err(Failure::Output)?;
    if let Some(path) = Rotations::kept(&instance) {
        let path = path.display();
        writeln!(out, "= {path} stays: without it the next run would have retired keys")
            .map_err(Failure::Output)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was taken away.
pub struct Gone {
    /// SAs and policies.
    pub plan: Plan,
    /// Interfaces that had programs.
    pub ifaces: Vec<String>,
}

/// XFRM objects first (policies, then SAs), then programs, then maps, then the state directory. The caller holds the
/// lock.
///
/// # Errors
/// Something could not be removed; what was removed before stays removed.
pub async fn all(instance: &Instance) -> Result<Gone, Failure> {
    let mut xfrm = Netlink::open()?;
    let mut record = Record::of(instance)?;
    let plan = teardown(&mut record, &Observed::of(&mut xfrm)?);
    apply(&plan, &Desired::default(), &mut xfrm, &mut record)?;
    let ifaces = programs(&super::pins(instance)).await?;
    remove_state(instance);
    Ok(Gone { plan, ifaces })
}

async fn programs(pins: &Pins) -> Result<Vec<String>, Failure> {
    let mut ifaces = Vec::new();
    // An agent of an older version may have been the last to run.
    for (_, old) in upgrade::older(pins) {
        let slots = upgrade::slots(&old)?;
        off(&old, slots.iter().filter(|slot| !slot.name().is_empty()), &mut ifaces).await?;
        old.remove()?;
    }
    if pins.exist() {
        let slots = read::slots(&Maps::open(pins)?)?;
        off(pins, slots.iter().map(|(_, slot)| slot), &mut ifaces).await?;
    }
    pins.remove()?;
    Ok(ifaces)
}

async fn off(
    pins: &Pins,
    slots: impl Iterator<Item = &IfaceSlot>,
    ifaces: &mut Vec<String>,
) -> Result<(), Failure> {
    for slot in slots {
        let ifindex = nix::net::if_::if_nametoindex(slot.name()).ok().filter(|index| *index == slot.ifindex);
        attach::detach(pins, slot, ifindex).await?;
        ifaces.push(slot.name().to_owned());
    }
    Ok(())
}

/// The directory lies on a tmpfs and holds nothing that is still needed: what cannot be removed does no harm.
fn remove_state(instance: &Instance) {
    if let Err(error) = std::fs::remove_dir_all(&instance.state_dir) {
        tracing::warn!("failed to remove {}: {error}", instance.state_dir.display());
    }
    // Its parent is shared with other instances: it goes when it is empty, as those of the pins do.
    if let Some(root) = instance.state_dir.parent() {
        std::fs::remove_dir(root).unwrap_or_default();
    }
}
