//! In what an object of the kernel differs from the one that is wanted, and which SAs get in each other's way.

use crate::xfrm::interface::{ObservedLink, XfrmLink};
use crate::xfrm::model::{ObservedSa, Policy, Sa, SaId};

/// The attributes in which `observed` differs from `desired`, by name; empty when nothing is to be done.
///
/// Differs is what [`Sa::same_as`] says: what the kernel does not show, or shows in its own form, is no difference.
#[must_use]
pub fn sa(desired: &Sa, observed: &ObservedSa) -> Vec<&'static str> {
    if observed.larval {
        return vec!["state (it has no keys yet)"];
    }
    differing(
        desired,
        &observed.sa,
        Sa::same_as,
        &[
            ("source", |sa, seen| sa.src = seen.src),
            ("mode", |sa, seen| sa.mode = seen.mode),
            ("reqid", |sa, seen| sa.reqid = seen.reqid),
            ("if_id", |sa, seen| sa.if_id = seen.if_id),
            ("algorithms", |sa, seen| sa.suite.clone_from(&seen.suite)),
            ("keys", |sa, seen| sa.keys = seen.keys),
            ("replay window", |sa, seen| sa.replay_window = seen.replay_window),
            ("esn", |sa, seen| sa.esn = seen.esn),
            ("flags", |sa, seen| sa.flags = seen.flags),
            ("extra flags", |sa, seen| sa.extra_flags = seen.extra_flags),
            ("selector", |sa, seen| sa.selector = seen.selector),
            ("encapsulation", |sa, seen| sa.encap = seen.encap),
            ("lifetime limits", |sa, seen| sa.limits = seen.limits),
            ("direction", |sa, seen| sa.dir = seen.dir),
            ("offload", |sa, seen| sa.offload = seen.offload),
            ("output mark", |sa, seen| sa.output_mark = seen.output_mark),
            ("tfc padding", |sa, seen| sa.tfc_pad = seen.tfc_pad),
            ("nat keepalive", |sa, seen| sa.nat_keepalive_s = seen.nat_keepalive_s),
            ("cpu", |sa, seen| sa.pcpu = seen.pcpu),
        ],
    )
}

/// The attributes in which two policies of one identity differ, by name; see [`Policy::same_as`].
#[must_use]
pub fn policy(desired: &Policy, observed: &Policy) -> Vec<&'static str> {
    differing(
        desired,
        observed,
        Policy::same_as,
        &[
            ("priority", |policy, seen| policy.priority = seen.priority),
            ("action", |policy, seen| policy.action = seen.action),
            ("flags", |policy, seen| policy.flags = seen.flags),
            ("templates", |policy, seen| policy.templates.clone_from(&seen.templates)),
            ("lifetime limits", |policy, seen| policy.limits = seen.limits),
            ("offload", |policy, seen| policy.offload = seen.offload),
        ],
    )
}

/// The attributes in which `observed` differs from `desired`, by name.
#[must_use]
pub fn link(desired: &XfrmLink, observed: &ObservedLink) -> Vec<&'static str> {
    let kind = match observed.if_id {
        None => Some("kind"),
        Some(if_id) => (if_id != desired.if_id).then_some("if_id"),
    };
    kind.into_iter().chain(link_in_place(desired, observed.mtu, observed.up)).collect()
}

/// Of these, the ones that the kernel changes in place.
pub fn link_in_place(desired: &XfrmLink, mtu: u32, up: bool) -> impl Iterator<Item = &'static str> {
    let differs = [(mtu != desired.mtu).then_some("mtu"), (!up).then_some("state (it is down)")];
    differs.into_iter().flatten()
}

/// A name, and how to take that one attribute over.
type Attribute<T> = (&'static str, fn(&mut T, &T));

/// An attribute differs when taking it over alone makes a difference, so that `same` is the one judge.
fn differing<T: Clone>(
    desired: &T,
    seen: &T,
    same: impl Fn(&T, &T) -> bool,
    attributes: &[Attribute<T>],
) -> Vec<&'static str> {
    if same(desired, seen) {
        return Vec::new();
    }
    let matters = |(_, take): &&Attribute<T>| {
        let mut changed = desired.clone();
        take(&mut changed, seen);
        !same(desired, &changed)
    };
    let names: Vec<&str> = attributes.iter().filter(matters).map(|(name, _)| *name).collect();
    if names.is_empty() { vec!["an attribute without a name here"] } else { names }
}

/// True when the kernel, asked for `wanted`, may find `other`.
///
/// It takes the first SA of the same destination, SPI and protocol whose masked mark the asked mark satisfies
/// (`__xfrm_state_lookup` in net/xfrm/xfrm_state.c), so an SA without a mark answers for every mark.
#[must_use]
pub fn answers_for(wanted: &SaId, other: &SaId) -> bool {
    let asked = wanted.mark.value & wanted.mark.mask;
    (wanted.dst, wanted.spi, wanted.proto) == (other.dst, other.spi, other.proto)
        && asked & other.mark.mask == other.mark.value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::{lab_policies, lab_sa_out, observed_sa};
    use crate::secret::KeyPrint;
    use crate::xfrm::model::{Limits, Mark, Mode, Offload, SaDir};
    use esp_common::Spi;

    #[test]
    fn names_each_attribute_that_differs() {
        let wanted = lab_sa_out();
        type Change = fn(&mut Sa);
        let cases: [(&str, Change); 8] = [
            ("source", |sa| sa.src = "10.0.0.9".parse().unwrap()),
            ("mode", |sa| sa.mode = Mode::Transport),
            ("reqid", |sa| sa.reqid = 7),
            ("algorithms", |sa| sa.suite.auth = None),
            ("keys", |sa| sa.keys = KeyPrint::of(b"another key")),
            ("replay window", |sa| sa.replay_window = 64),
            ("lifetime limits", |sa| sa.limits.hard_add_s = Some(60)),
            ("direction", |sa| sa.dir = Some(SaDir::In)),
        ];
        for (name, change) in cases {
            let mut seen = observed_sa(&wanted, 1);
            change(&mut seen.sa);
            assert_eq!(sa(&wanted, &seen), [name]);
        }
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_no_difference() {
        let wanted = lab_sa_out();
        let mut seen = observed_sa(&wanted, 1);
        seen.sa.dir = None;
        seen.sa.keys = KeyPrint::Hidden;
        assert!(sa(&wanted, &seen).is_empty());
        seen.sa.offload = Some(Offload { ifindex: 2, packet: false, inbound: false });
        assert!(sa(&wanted, &seen).is_empty());
        seen.sa.offload = Some(Offload { ifindex: 2, packet: true, inbound: false });
        assert_eq!(sa(&wanted, &seen), ["offload"]);
        seen.larval = true;
        assert_eq!(sa(&wanted, &seen).len(), 1);
    }

    #[test]
    fn policies_of_one_identity_differ_by_attribute() {
        let wanted = lab_policies().remove(0);
        assert!(policy(&wanted, &wanted.clone()).is_empty());
        let other =
            Policy { priority: 1, limits: Limits { hard_bytes: Some(1), ..wanted.limits }, ..wanted.clone() };
        assert_eq!(policy(&wanted, &other), ["priority", "lifetime limits"]);
    }

    #[test]
    fn an_sa_without_a_mark_answers_for_every_mark() {
        let plain = lab_sa_out().id;
        let marked = SaId { mark: Mark { value: 5, mask: 0xff }, ..plain };
        assert!(answers_for(&marked, &plain));
        assert!(!answers_for(&plain, &marked));
        assert!(!answers_for(&SaId { spi: Spi::new(0x1234), ..plain }, &plain));
    }
}
