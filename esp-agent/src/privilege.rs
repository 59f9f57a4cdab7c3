//! What this process may do, cut down to what it needs; and its memory, which is never written to a disk.

use crate::failure::Failure;
use caps::{CapSet, Capability, CapsHashSet};
use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// What the running agent needs: netlink and attaching, maps and programs, and the verifier's leave to compare
/// pointers.
const KEPT: [Capability; 3] = [Capability::CAP_NET_ADMIN, Capability::CAP_BPF, Capability::CAP_PERFMON];

/// Gives up all capabilities but those that are needed, for this thread and those that it starts, and the way back to
/// them: the bounding and ambient sets, and set-user-id programs. Must come before other threads are there.
///
/// # Errors
/// The kernel refuses.
pub fn cut_down() -> Result<(), Failure> {
    let failed = |error: caps::errors::CapsError| Failure::Task("capabilities", error.into());
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed)?;
    let kept = kept(&permitted);
    // The bounding set takes CAP_SETPCAP; without it there is nothing in it that could be regained by this process.
    if permitted.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::all().difference(&kept) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(failed)?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(failed)?;
    caps::clear(None, CapSet::Inheritable).map_err(failed)?;
    caps::set(None, CapSet::Effective, &kept).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(failed)?;
    nix::sys::prctl::set_no_new_privs().map_err(|errno| Failure::Task("no_new_privs", errno.into()))
}

/// An older tool may have given `CAP_SYS_ADMIN` in the place of the two that were split from it in Linux 5.8.
fn kept(permitted: &CapsHashSet) -> CapsHashSet {
    let mut kept: CapsHashSet = KEPT.into_iter().filter(|needed| permitted.contains(needed)).collect();
    if kept.len() < KEPT.len() && permitted.contains(&Capability::CAP_SYS_ADMIN) {
        kept.insert(Capability::CAP_SYS_ADMIN);
    }
    kept
}

/// Keys pass through this process: its memory is never written to a file, by a crash or by swapping.
///
/// Returns a sentence when it may be swapped out.
///
/// # Errors
/// The kernel refuses to leave core dumps out.
pub fn seal_memory() -> Result<Option<String>, Failure> {
    let failed = |errno: nix::Error| Failure::Task("core dump limit", errno.into());
    nix::sys::prctl::set_dumpable(false).map_err(failed)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(failed)?;
    // Under a limit every later allocation beyond it would fail.
    let limitless = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok()
        || getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY);
    if !limitless {
        return Ok(Some(
            "only keys at rest are locked, buffers that they pass through may be swapped out: give the service LimitMEMLOCK=infinity"
                .into(),
        ));
    }
    // All of it, since keys pass through netlink buffers and the parser too; with MCL_ONFAULT only what is touched.
    // SAFETY: takes no pointer.
    let locked = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    match nix::Error::result(locked) {
        Ok(_) => Ok(None),
        Err(errno) => Ok(Some(format!("keys may be swapped out: failed to lock memory ({errno})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_kept() {
        let set = |list: &[Capability]| list.iter().copied().collect::<CapsHashSet>();
        assert_eq!(kept(&caps::all()), set(&KEPT));
        let old = [Capability::CAP_NET_ADMIN, Capability::CAP_SYS_ADMIN];
        assert_eq!(kept(&set(&old)), set(&old));
        assert!(kept(&set(&[Capability::CAP_CHOWN])).is_empty());
    }
}
