//! Brings the kernel's SAs and policies to what a configuration wants: read, plan, apply, remember.

use crate::apply::apply;
use crate::config::Config;
use crate::failure::Failure;
use crate::plan::{Observed, plan};
use crate::record::Record;
use crate::xfrm::Xfrm;

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
