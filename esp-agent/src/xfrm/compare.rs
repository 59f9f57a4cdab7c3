//! Is the SA or policy that the kernel shows the one that was asked for?

use super::model::{Limits, Policy, Sa, SaStart, Selector};

impl Sa {
    /// True when there is nothing to change: what a kernel cannot show, or shows in its own form, is no difference.
    ///
    /// - keys that lockdown hides, and the direction on kernels before 6.10, are taken as equal;
    /// - a selector that selects all is none; an original address that is unspecified is none;
    /// - a limit of 0 seconds is none;
    /// - sequence numbers have moved on;
    /// - crypto offload falls back to software without a word (`xfrm_dev_state_add`).
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let dirs = self.dir.is_none() || other.dir.is_none() || self.dir == other.dir;
        let keys = self.keys.agrees(&other.keys);
        let mut other = other.normal();
        let own = self.normal();
        (other.dir, other.keys) = (own.dir, own.keys);
        dirs && keys && own == other
    }

    fn normal(&self) -> Self {
        let mut sa = self.clone();
        sa.selector = sa.selector.filter(|selector| !selects_all(selector));
        if let Some(encap) = &mut sa.encap {
            encap.original = encap.original.filter(|addr| !addr.is_unspecified());
        }
        sa.limits = sa.limits.normal();
        sa.offload = sa.offload.filter(|offload| offload.packet);
        sa.start = SaStart::default();
        sa
    }
}

impl Policy {
    /// True when there is nothing to change. A limit of 0 seconds is none.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let limits = self.limits.normal();
        limits == other.limits.normal() && Self { limits, ..self.clone() } == Self { limits, ..other.clone() }
    }
}

impl Limits {
    fn normal(self) -> Self {
        let some = |seconds: Option<u64>| seconds.filter(|seconds| *seconds != 0);
        Self {
            soft_add_s: some(self.soft_add_s),
            hard_add_s: some(self.hard_add_s),
            soft_use_s: some(self.soft_use_s),
            hard_use_s: some(self.hard_use_s),
            ..self
        }
    }
}

/// The kernel gives each SA without a selector one of its family that selects all (`copy_from_user_state`).
pub(super) fn selects_all(selector: &Selector) -> bool {
    selector.src.len == 0
        && selector.dst.len == 0
        && selector.proto == 0
        && selector.sport.mask == 0
        && selector.dport.mask == 0
        && selector.ifindex == 0
}
