//! Brings the kernel's SAs and policies to what a configuration wants: read, plan, apply, remember.

use crate::apply::apply;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::plan::{Observed, plan};
use crate::record::Record;
use crate::trial;
use crate::xfrm::Xfrm;
use nix::net::if_::if_nametoindex;
use std::path::Path;

/// Reads a configuration for this host: the interfaces that its SAs and policies name must be here.
///
/// # Errors
/// Everything that is wrong with the file, or an interface that is missing.
pub fn load(path: &Path) -> Result<Config, Failure> {
    let mut config = config::load(path)?;
    config.find_devices(|name| if_nametoindex(name).ok()).map_err(Failure::NoDevice)?;
    Ok(config)
}

/// Installs what is missing, removes what is ours and no longer wanted. Returns what the kernel has afterwards.
///
/// # Errors
/// A conflict, or a step that failed; then everything is as before.
pub fn install(config: &Config, xfrm: &mut dyn Xfrm, record: &mut Record) -> Result<Observed, Failure> {
    let observed = Observed::of(xfrm)?;
    if record.discarded().is_some() {
        tracing::info!(
            "the record of what is ours is of another boot or network namespace: it is begun anew"
        );
    }
    let owned = record.reconcile(&observed);
    // An intent of a killed agent must not claim what a stranger makes later, whatever comes of the plan.
    record.save()?;
    let desired = config.desired();
    let plan = plan(&desired, &observed, &owned)?;
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    if plan.is_empty() {
        return Ok(observed);
    }
    trial::check(&plan, &desired, xfrm)?;
    let applied = apply(&plan, &desired, xfrm, record)?;
    for step in &applied.done {
        tracing::info!("{step}");
    }
    if let Some(cause) = applied.unsealed {
        tracing::warn!(
            "the record of what is ours is not up to date, the next start brings it there: {cause}"
        );
    }
    Ok(Observed::of(xfrm)?)
}
