//! What this kernel cannot do of what is asked for: tried in a network namespace of its own, before anything is
//! changed.
//!
//! Asking would not do: algorithms are modules that load when they are first used, and a kernel skips attributes that
//! it does not know without a word.

use crate::config::desired::{Desired, KeyedSa};
use crate::failure::Failure;
use crate::plan::{Plan, Step};
use crate::xfrm::model::{Mark, Mode, Sa, SaId};
use crate::xfrm::{Xfrm, XfrmError};
use esp_common::Spi;
use std::sync::{Mutex, PoisonError};

/// Tries the SAs that `plan` adds, one of each shape.
///
/// # Errors
/// [`Failure::Lacks`] with the option that the kernel does not know; [`Failure::Xfrm`] when it refuses the SA
/// whatever its options.
pub fn check(plan: &Plan, desired: &Desired, xfrm: &dyn Xfrm) -> Result<(), Failure> {
    let shapes = shapes(plan, desired);
    if shapes.is_empty() {
        return Ok(());
    }
    // All trials of a process share the namespace and its socket.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match xfrm.apart() {
        Ok(mut apart) => shapes.into_iter().try_for_each(|keyed| attempt(apart.as_mut(), keyed)),
        Err(error) => {
            tracing::warn!(
                "failed to try the SAs in a network namespace ({error}): what this kernel lacks shows when they are added"
            );
            Ok(())
        }
    }
}

/// SAs that differ in more than names and numbers.
fn shapes<'a>(plan: &Plan, desired: &'a Desired) -> Vec<&'a KeyedSa> {
    let mut seen: Vec<Sa> = Vec::new();
    let mut shapes = Vec::new();
    for keyed in &desired.sas {
        let is_added = |step: &Step| matches!(step, Step::AddSa(step) if step.sa.id == keyed.sa.id);
        let shape = shape(&keyed.sa);
        if !seen.contains(&shape) && plan.steps.iter().any(is_added) {
            seen.push(shape);
            shapes.push(keyed);
        }
    }
    shapes
}

/// The SA without what one kernel takes as well as another.
fn shape(sa: &Sa) -> Sa {
    let bare = Sa::bare(sa.id, sa.src, sa.mode);
    let id = SaId { spi: Spi::new(0), mark: Mark::default(), ..sa.id };
    Sa { id, reqid: 0, keys: bare.keys, start: bare.start, limits: bare.limits, ..sa.clone() }
}

/// An option that not every kernel has, or that not every SA can have.
struct Optional {
    /// As in the configuration.
    name: &'static str,
    /// Since which kernel.
    since: &'static str,
    clear: fn(&mut Sa),
}

const OPTIONAL: [Optional; 7] = [
    Optional { name: "cpu", since: "Linux 6.13", clear: |sa| sa.pcpu = None },
    Optional { name: "nat_keepalive", since: "Linux 6.11", clear: |sa| sa.nat_keepalive_s = 0 },
    Optional { name: "direction", since: "Linux 6.10", clear: |sa| sa.dir = None },
    Optional {
        name: "output_mark",
        since: "Linux 4.14, its mask 4.19",
        clear: |sa| sa.output_mark = Mark::default(),
    },
    Optional { name: "encap", since: "CONFIG_INET_ESP, and for IPv6 Linux 5.8", clear: |sa| sa.encap = None },
    Optional {
        name: "selector",
        since: "every kernel that takes its family",
        clear: |sa| sa.selector = None,
    },
    Optional {
        name: "flags",
        since: "a kernel that knows each of them",
        clear: |sa| (sa.flags, sa.extra_flags) = (sa.flags & AF_UNSPEC, 0),
    },
];
/// `XFRM_STATE_AF_UNSPEC`, which tunnel mode has without being asked.
const AF_UNSPEC: u8 = 32;

fn attempt(xfrm: &mut dyn Xfrm, keyed: &KeyedSa) -> Result<(), Failure> {
    // The NIC is not in this namespace.
    let sa = Sa { offload: None, ..keyed.sa.clone() };
    match installed(xfrm, keyed, &sa) {
        Ok(back) => skipped(&sa, &back).map_or(Ok(()), |option| Err(lack(&sa, option, "skips it silently"))),
        Err(error) => {
            let culprit = OPTIONAL.iter().find(|option| {
                let mut without = sa.clone();
                (option.clear)(&mut without);
                without != sa && installed(xfrm, keyed, &without).is_ok()
            });
            Err(culprit.map_or(Failure::Xfrm(error.clone()), |option| lack(&sa, option, &cause(&error))))
        }
    }
}

/// The first option that was asked for and did not come back.
fn skipped(sent: &Sa, back: &Sa) -> Option<&'static Optional> {
    OPTIONAL.iter().find(|option| {
        let has = |sa: &Sa| {
            let mut without = sa.clone();
            (option.clear)(&mut without);
            without != *sa
        };
        has(sent) && !has(back)
    })
}

/// Adds the SA, reads it back and takes it away.
fn installed(xfrm: &mut dyn Xfrm, keyed: &KeyedSa, sa: &Sa) -> Result<Sa, XfrmError> {
    xfrm.add_sa(sa, &keyed.keys)?;
    let all = xfrm.sas();
    xfrm.delete_sa(&sa.id)?;
    let back = all?.into_iter().find(|seen| seen.sa.id == sa.id).map(|seen| seen.sa);
    Ok(back.unwrap_or_else(|| Sa::bare(sa.id, sa.src, Mode::Transport)))
}

fn lack(sa: &Sa, option: &Optional, why: &str) -> Failure {
    Failure::Lacks(format!(
        "this kernel cannot do `{}` (since {}) for SA {} to {}: it {why}; nothing was changed, remove the option or boot a newer kernel",
        option.name, option.since, sa.id.spi, sa.id.dst
    ))
}

fn cause(error: &XfrmError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("says \"{}\"", source.unwrap_or_else(|| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xfrm::model::SaDir;

    fn sent() -> Sa {
        let (dst, src) = ("10.66.66.1".parse().unwrap(), "10.55.55.1".parse().unwrap());
        let id = SaId { dst, spi: Spi::new(0x1000), proto: 50, mark: Mark::default() };
        Sa { pcpu: Some(1), dir: Some(SaDir::In), ..Sa::bare(id, src, Mode::Tunnel) }
    }

    #[test]
    fn what_does_not_come_back_is_named() {
        let name = |back: &Sa| skipped(&sent(), back).map(|option| option.name);
        assert_eq!(name(&sent()), None);
        assert_eq!(name(&Sa { pcpu: None, ..sent() }), Some("cpu"));
        assert_eq!(name(&Sa { dir: None, ..sent() }), Some("direction"));
        assert_eq!(name(&Sa { dir: None, pcpu: None, ..sent() }), Some("cpu"));
    }

    #[test]
    fn names_and_numbers_make_no_shape() {
        let other = Sa { reqid: 9, id: SaId { spi: Spi::new(0x2000), ..sent().id }, ..sent() };
        assert_eq!(shape(&sent()), shape(&other));
        assert_ne!(shape(&sent()), shape(&Sa { pcpu: None, ..sent() }));
    }
}
