//! What the maps should hold, worked out from a picture of the kernel: pure.

use super::{inner, rules};
use crate::collect;
use crate::picture::Picture;
use crate::steer::Wish;
use crate::xfrm::model::{ESP, ObservedSa, SaId};
use esp_common::{Addr, Direction, FlowKey, InnerKey, Rule, SaEntry, names};
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
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SaImage {
    /// Tunnel; empty is none.
    pub tunnel: String,
    /// Flags of [`SaEntry`].
    pub flags: u32,
    /// Which CPU is to decrypt it.
    pub wish: Wish,
}

impl Image {
    /// Works it out.
    #[must_use]
    pub fn of(picture: &Picture) -> Self {
        let mut image =
            Self { locals: picture.locals.iter().copied().map(Addr::from).collect(), ..Self::default() };
        image.sas = picture.sas.values().filter_map(|observed| entry(picture, observed)).collect();
        rules::compile(picture, &mut image);
        image.inner = inner::compile(picture);
        image.limit();
        image
    }

    /// The image of the SAs that changed alone: their place in the table, and their selectors.
    #[must_use]
    pub fn change(picture: &Picture) -> Change {
        let changed = || picture.touched.iter().filter_map(|id| picture.sas.get(id));
        let sas: BTreeMap<_, _> = changed().filter_map(|observed| entry(picture, observed)).collect();
        let inner = inner::compile_of(picture, changed());
        let mut gone: BTreeSet<FlowKey> = picture.touched.iter().map(flow_key).collect();
        gone.retain(|key| !sas.contains_key(key));
        let mut inner_gone: BTreeSet<InnerKey> = picture.parted.iter().map(inner::key).collect();
        inner_gone.retain(|key| !inner.contains_key(key));
        // Another SA, with another mark or destination, may be behind the same key.
        if !gone.is_empty() || !inner_gone.is_empty() {
            for observed in picture.sas.values() {
                gone.remove(&flow_key(&observed.sa.id));
                inner_gone.remove(&inner::key(&observed.sa));
            }
        }
        Change { sas, gone, inner, inner_gone }
    }

    /// What has no room is not checked at all, and said: half a rule set would drop wrongly.
    fn limit(&mut self) {
        for (set, guard) in [(&mut self.rules_in, "cleartext_in"), (&mut self.rules_out, "cleartext_out")] {
            let of = |dir| set.iter().filter(|rule| rule.verdict & dir != 0).count();
            let most = of(Rule::DIR_IN).max(of(Rule::DIR_FWD)).max(of(Rule::DIR_OUT));
            if most > names::RULES as usize {
                self.notes.push(format!(
                    "guard {guard} is off: {most} policies are more than the {} it can hold in a direction",
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

/// What a few SAs change of an image.
pub struct Change {
    /// SAs that are there.
    pub sas: BTreeMap<FlowKey, SaImage>,
    /// Keys without an SA.
    pub gone: BTreeSet<FlowKey>,
    /// Their selectors.
    pub inner: BTreeMap<InnerKey, Vec<Rule>>,
    /// Keys of selectors without an SA.
    pub inner_gone: BTreeSet<InnerKey>,
}

fn flow_key(id: &SaId) -> FlowKey {
    FlowKey::new(id.dst.into(), id.spi)
}

/// None for what is not ESP. SPI 0 is never on the wire: an SA that waits for its keys has it.
fn entry(picture: &Picture, observed: &ObservedSa) -> Option<(FlowKey, SaImage)> {
    let sa = &observed.sa;
    let offloaded = sa.offload.is_some_and(|offload| offload.packet);
    let flags = if offloaded { SaEntry::OFFLOADED } else { 0 };
    let tunnel = picture.tunnel(&sa.id).to_owned();
    let wish = match sa.pcpu {
        _ if collect::direction(observed, picture) != Some(Direction::In) => Wish::None,
        Some(cpu) => Wish::Own(cpu),
        None => Wish::Any,
    };
    (sa.id.proto == ESP && !sa.id.spi.is_zero()).then(|| (flow_key(&sa.id), SaImage { tunnel, flags, wish }))
}

#[cfg(test)]
mod tests;
