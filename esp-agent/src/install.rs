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
    let owned = record.reconcile(&observed);
    let desired = config.desired();
    let plan = plan(&desired, &observed, &owned)?;
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    if plan.is_empty() {
        record.save()?;
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
