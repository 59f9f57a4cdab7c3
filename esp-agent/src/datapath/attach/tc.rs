//! The TC programs of an interface: TCX, or filters of clsact.

use super::{
    Target,
    link::{keep, refused, unpin},
};
use crate::datapath::{DatapathError, clsact, pins::Pins};
use aya::programs::{
    LinkOrder, SchedClassifier, TcAttachType,
    links::{FdLink, PinnedLink},
    tc::{SchedClassifierLink, TcAttachOptions},
};
use aya::util::KernelVersion;
use esp_common::IfaceSlot;
use std::path::Path;

/// TCX where the kernel has it (Linux 6.6), else a filter of clsact.
pub(super) fn attach(
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

fn update_tcx(program: &mut SchedClassifier, path: &Path) -> Option<()> {
    let link = SchedClassifierLink::try_from(FdLink::from(PinnedLink::from_pin(path).ok()?)).ok()?;
    let id = program.attach_to_link(link).ok()?;
    FdLink::try_from(program.take_link(id).ok()?).map(drop).ok()
}
