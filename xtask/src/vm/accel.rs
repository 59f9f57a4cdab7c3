//! Whether the processor runs the guest, or qemu does.

use std::fmt;
use std::fs::File;
use std::path::Path;

/// How guest code is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// By the processor.
    Kvm,
    /// By qemu, for the reason given; times taken there mean nothing.
    Tcg(&'static str),
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kvm => f.write_str("KVM"),
            Self::Tcg(reason) => write!(f, "TCG, because {reason}"),
        }
    }
}

impl Accel {
    /// What this machine offers.
    pub(crate) fn detect() -> Self {
        if Path::new("/sys/module/kvm_pvm").exists() {
            // Its /dev/kvm runs only guests that were built for it, and no distribution kernel is.
            return Self::Tcg("/dev/kvm is that of kvm_pvm");
        }
        match File::options().read(true).write(true).open("/dev/kvm") {
            Ok(_) => Self::Kvm,
            Err(_) => Self::Tcg("/dev/kvm cannot be opened"),
        }
    }

    pub(super) fn qemu_args(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            // qemu 7.2 translates cmpxchg16b wrongly at times; the kernel's allocator uses it where it exists.
            // With a thread for each CPU it also runs stale translations of code that the guest patches: a clsact
            // qdisc (a static key) made and deleted under two ping floods ends Linux 7.3.4 in an int3 oops within
            // 20 s. One thread for all CPUs never does.
            Self::Tcg(_) => ["-accel", "tcg,thread=single,tb-size=512", "-cpu", "max,-cx16"],
        }
    }
}
