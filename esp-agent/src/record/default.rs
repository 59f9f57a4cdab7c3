//! The default policy in the record: it has no owner and no time, only what it was before us.

use crate::xfrm::model::{DefaultPolicy, PolicyAction};
use serde::{Deserialize, Serialize};

/// Which of in, fwd and out are blocked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct DefaultTag {
    before: [bool; 3],
    ours: [bool; 3],
    /// What the last change began at: a crash may have come before its effect.
    from: [bool; 3],
}

impl DefaultTag {
    /// The line of the intent to change `old` to `new`; what was before us is kept from the first.
    pub(super) fn next(first: Option<Self>, old: DefaultPolicy, new: DefaultPolicy) -> Self {
        let before = first.map_or(blocked(old), |tag| tag.before);
        Self { before, ours: blocked(new), from: blocked(old) }
    }

    /// The line once `now` is set; none when that is what was before us.
    pub(super) fn set(self, now: DefaultPolicy) -> Option<Self> {
        let now = blocked(now);
        (now != self.before).then_some(Self { ours: now, from: now, ..self })
    }

    /// False when the change never came to be, or somebody else has decided since.
    pub(super) fn in_force(self, now: Option<DefaultPolicy>) -> bool {
        let now = now.map(blocked);
        now != Some(self.before) && (now == Some(self.ours) || now == Some(self.from))
    }

    pub(super) fn before(self) -> DefaultPolicy {
        let [inbound, forward, outbound] = self.before.map(|blocks| match blocks {
            true => PolicyAction::Block,
            false => PolicyAction::Allow,
        });
        DefaultPolicy { inbound, forward, outbound }
    }
}

fn blocked(policy: DefaultPolicy) -> [bool; 3] {
    [policy.inbound, policy.forward, policy.outbound].map(|action| action == PolicyAction::Block)
}
