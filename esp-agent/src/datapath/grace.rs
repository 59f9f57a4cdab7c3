//! Until no packet can know any more what it may have seen.

use std::time::Duration;

/// Returns when every packet has ended that was in the datapath at the call.
///
/// `MEMBARRIER_CMD_GLOBAL` is `synchronize_rcu` (kernel/sched/membarrier.c), and programs run as its readers.
pub(crate) fn wait() {
    // SAFETY: a system call without pointers; an unknown command or flag is refused.
    let done = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if done != 0 {
        // It is refused where CPUs run without ticks (`nohz_full`). No packet takes that long.
        std::thread::sleep(Duration::from_secs(1));
    }
}
