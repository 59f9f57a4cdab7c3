//! In what an object of the kernel differs from the one that is wanted, and which SAs get in each other's way.

use crate::xfrm::model::{ObservedSa, Policy, Sa, SaDir, SaId};

/// The attributes in which `observed` differs from `desired`, by name; empty when nothing is to be done.
///
/// The direction counts only where both sides know it: kernels before Linux 6.10 do not store it. Keys count
/// only where the kernel shows them (see [`crate::secret::KeyPrint::agrees`]).
#[must_use]
pub fn sa(desired: &Sa, observed: &ObservedSa) -> Vec<&'static str> {
    if observed.larval {
        return vec!["state (it has no keys yet)"];
    }
    // Taken apart so that a new attribute does not compile until it is compared here.
    let Sa { id: _, src, mode, reqid, if_id, suite, keys, replay_window, esn, flags, extra_flags, .. } =
        desired;
    let Sa { selector, encap, limits, dir, offload, .. } = desired;
    let seen = &observed.sa;
    named([
        ("source", *src != seen.src),
        ("mode", *mode != seen.mode),
        ("reqid", *reqid != seen.reqid),
        ("if_id", *if_id != seen.if_id),
        ("algorithms", *suite != seen.suite),
        ("keys", !keys.agrees(&seen.keys)),
        ("replay window", *replay_window != seen.replay_window),
        ("esn", *esn != seen.esn),
        ("flags", *flags != seen.flags),
        ("extra flags", *extra_flags != seen.extra_flags),
        ("selector", *selector != seen.selector),
        ("encapsulation", *encap != seen.encap),
        ("lifetime limits", *limits != seen.limits),
        ("direction", directions_clash(*dir, seen.dir)),
        ("offload", *offload != seen.offload),
    ])
}

fn directions_clash(left: Option<SaDir>, right: Option<SaDir>) -> bool {
    matches!((left, right), (Some(left), Some(right)) if left != right)
}

/// The attributes in which two policies of one identity differ, by name.
#[must_use]
pub fn policy(desired: &Policy, observed: &Policy) -> Vec<&'static str> {
    let Policy { id: _, priority, action, flags, templates, limits, offload } = desired;
    named([
        ("priority", *priority != observed.priority),
        ("action", *action != observed.action),
        ("flags", *flags != observed.flags),
        ("templates", *templates != observed.templates),
        ("lifetime limits", *limits != observed.limits),
        ("offload", *offload != observed.offload),
    ])
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

fn named<const N: usize>(attributes: [(&'static str, bool); N]) -> Vec<&'static str> {
    attributes.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::{lab_policies, lab_sa_out, observed_sa};
    use crate::secret::KeyPrint;
    use crate::xfrm::model::{Limits, Mark, Mode};
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
