//! Brings the kernel to the phases of all rotations.

use super::{Phase, Rotations};
use crate::apply::apply;
use crate::config::Config;
use crate::failure::Failure;
use crate::install::install;
use crate::plan::{Observed, Plan, PolicyStep, Step};
use crate::record::Record;
use crate::xfrm::Xfrm;
use crate::xfrm::model::PolicyDir;

/// Installs what `config` and the phases ask for; `config` is brought to them in any case.
///
/// # Errors
/// Those of [`install`]: the kernel is as it was, and what was written down is tried again.
pub fn converge(
    rotations: &Rotations,
    config: &mut Config,
    xfrm: &mut dyn Xfrm,
    record: &mut Record,
) -> Result<Observed, Failure> {
    rotations.lay(config);
    let observed = install(config, xfrm, record)?;
    prefer_new(rotations, config, &observed, xfrm, record)?;
    Ok(observed)
}

/// Has the kernel choose the newer of two outbound SAs before the older goes.
///
/// Of SAs that fit a template equally it takes the one that was added last, and of one second the one that was
/// inserted last (`xfrm_state_look_at`, hash chains grow at their head). But since 6.13 a policy keeps the SA that it
/// used last and looks no further while that is valid (`state_cache_list`, commit 0045e3d80613); a policy that is
/// replaced, by an equal one as well, begins with an empty list.
fn prefer_new(
    rotations: &Rotations,
    config: &Config,
    observed: &Observed,
    xfrm: &mut dyn Xfrm,
    record: &mut Record,
) -> Result<(), Failure> {
    let switching =
        |name: &str| rotations.applied(name).is_some_and(|entry| entry.phase() == Phase::Switching);
    if !config.tunnels.iter().any(|tunnel| switching(&tunnel.name)) {
        return Ok(());
    }
    let desired = config.desired();
    let owned = record.reconcile(observed);
    let ours = desired.policies.iter().filter(|named| {
        let id = &named.policy.id;
        id.dir == PolicyDir::Out
            && owned.policies.contains(id)
            && named.tunnel.as_deref().is_some_and(switching)
    });
    let renew = |named: &crate::config::NamedPolicy| Step::UpdatePolicy {
        old: named.policy.clone(),
        new: PolicyStep { policy: named.policy.clone(), label: Some(named.name.clone()) },
    };
    let plan = Plan { steps: ours.map(renew).collect(), notes: Vec::new() };
    if !plan.is_empty() {
        apply(&plan, &desired, xfrm, record)?;
    }
    Ok(())
}
