//! What the maps should hold, worked out from a picture of the kernel: pure.

use super::{inner, rules};
use crate::picture::Picture;
use crate::xfrm::model::ESP;
use esp_common::{Addr, FlowKey, InnerKey, Rule, SaEntry, names};
use std::collections::{BTreeMap, BTreeSet};

/// What the maps should hold.
#[derive(Default)]
pub struct Image {
    /// The SA table; the tunnel is still a name.
    pub sas: BTreeMap<FlowKey, SaImage>,
    /// Own addresses.
    pub locals: BTreeSet<Addr>,
    /// Rules for what comes in.
    pub rules_in: Vec<Rule>,
    /// Rules for what leaves.
    pub rules_out: Vec<Rule>,
    /// Selectors for each SA.
    pub inner: BTreeMap<InnerKey, Vec<Rule>>,
    /// Sentences about what cannot be checked.
    pub notes: Vec<String>,
}

/// An SA of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaImage {
    /// Tunnel; empty is none.
    pub tunnel: String,
    /// Flags of [`SaEntry`].
    pub flags: u32,
}

impl Image {
    /// Works it out.
    #[must_use]
    pub fn of(picture: &Picture) -> Self {
        let mut image =
            Self { locals: picture.locals.iter().copied().map(Addr::from).collect(), ..Self::default() };
        for observed in picture.sas.values().filter(|observed| observed.sa.id.proto == ESP) {
            let key = FlowKey::new(observed.sa.id.dst.into(), observed.sa.id.spi);
            let offloaded = observed.sa.offload.is_some_and(|offload| offload.packet);
            let flags = if offloaded { SaEntry::OFFLOADED } else { 0 };
            let tunnel = picture.tunnels.get(&observed.sa.id).cloned().unwrap_or_default();
            image.sas.insert(key, SaImage { tunnel, flags });
        }
        rules::compile(picture.policies.values(), &mut image);
        image.inner = inner::compile(picture);
        image.limit();
        image
    }

    /// What has no room is not checked at all, and said: half a rule set would drop wrongly.
    fn limit(&mut self) {
        for (set, guard) in [(&mut self.rules_in, "cleartext_in"), (&mut self.rules_out, "cleartext_out")] {
            if set.len() > names::RULES as usize {
                self.notes.push(format!(
                    "guard {guard} is off: {} policies are more than the {} it can hold",
                    set.len(),
                    names::RULES
                ));
                set.clear();
            }
        }
        let crowded =
            self.inner.values().filter(|rules| rules.len() > names::INNER_RULES_PER_SA as usize).count();
        if crowded > 0 {
            self.notes.push(format!(
                "guard selectors passes {crowded} SAs unchecked: each has more than {} selectors",
                names::INNER_RULES_PER_SA
            ));
        }
    }
}

#[cfg(test)]
mod tests;
