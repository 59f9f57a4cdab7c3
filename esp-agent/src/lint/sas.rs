//! Lints of SAs.

use super::algorithms::verdicts;
use super::code::LintCode;
use super::{Finding, Scene, Subject};
use crate::xfrm::model::{COMP, Mark, Mode, ObservedSa, PolicyDir, Sa, SaDir};
use esp_common::Spi;
use std::collections::HashMap;
use std::collections::HashSet;
use std::net::IpAddr;

/// RFC 4303 section 3.4.3.
const MIN_WINDOW: u32 = 32;
/// A rate over less than this says nothing.
const MIN_AGE_S: u64 = 60;
/// Soon enough to be said.
const SOON_S: u64 = 7 * 86_400;

/// Everything that is found about the SAs of `scene`.
pub(super) fn look(scene: &Scene<'_>) -> Vec<Finding> {
    let locals = locals(scene);
    let pairs = by_ends(scene.sas);
    let mut found = Vec::new();
    for (index, seen) in scene.sas.iter().enumerate().filter(|(_, seen)| !seen.larval) {
        let mut say = |code, reason: String, fix: &str| {
            let (object, subject) = (name(&seen.sa), Subject::Sa(index));
            found.push(Finding { code, object, reason, fix: fix.to_owned(), subject });
        };
        verdicts(&seen.sa).into_iter().for_each(|(code, reason, fix)| say(code, reason, fix));
        if let Some(reason) = small_window(&seen.sa, &locals) {
            say(
                LintCode::SmallReplayWindow,
                reason,
                "leave it out for 64, or give more where packets arrive out of order",
            );
        }
        if let Some(reason) = sequence_lifetime(seen, scene.facts.now_s) {
            say(LintCode::SequenceLifetime, reason, "use ESN on both sides, or rekey before then");
        }
        let back = pairs.get(&(seen.sa.id.dst, seen.sa.src)).map_or(&[][..], Vec::as_slice);
        let back: Vec<&ObservedSa> = back.iter().filter_map(|index| scene.sas.get(*index)).collect();
        // Of two ends the smaller one speaks, so that a pair is said once.
        if seen.sa.src < seen.sa.id.dst {
            if back
                .iter()
                .any(|twin| twin.sa.id.spi == seen.sa.id.spi && twin.sa.id.proto == seen.sa.id.proto)
            {
                let reason =
                    "the SA of the other direction has the same SPI: captures take both for one stream";
                say(LintCode::SameSpi, reason.to_owned(), "take another SPI for one of them");
            }
            if mode_pair(&seen.sa, &back) {
                let reason = "tunnel mode one way, transport mode the other: the same on the wire only if an IPIP tunnel feeds the transport side (RFC 3884)";
                say(
                    LintCode::ModePair,
                    reason.to_owned(),
                    "keep it if the ipip interface is there, else use one mode",
                );
            }
        }
    }
    found.extend(duplicates(scene.sas));
    found
}

/// An SA in words.
fn name(sa: &Sa) -> String {
    format!("SA {} {} -> {}", sa.id.spi, sa.src, sa.id.dst)
}

/// Addresses of this host: those that are known, else those that its templates show.
fn locals(scene: &Scene<'_>) -> HashSet<IpAddr> {
    if !scene.facts.locals.is_empty() {
        return scene.facts.locals.iter().copied().collect();
    }
    let ours = scene.policies.iter().flat_map(|seen| {
        let out = seen.policy.id.dir == PolicyDir::Out;
        seen.policy.templates.iter().map(move |template| if out { template.src } else { template.dst })
    });
    ours.filter(|addr| !addr.is_unspecified()).collect()
}

fn by_ends(sas: &[ObservedSa]) -> HashMap<(IpAddr, IpAddr), Vec<usize>> {
    let mut pairs: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, seen) in sas.iter().enumerate() {
        pairs.entry((seen.sa.src, seen.sa.id.dst)).or_default().push(index);
    }
    pairs
}

/// An outbound SA has no window to speak of.
fn small_window(sa: &Sa, locals: &HashSet<IpAddr>) -> Option<String> {
    let outbound = sa.dir == Some(SaDir::Out) || (sa.dir.is_none() && locals.contains(&sa.src));
    (!outbound && sa.id.proto != COMP && sa.replay_window < MIN_WINDOW).then(|| match sa.replay_window {
        0 => "there is no replay window: recorded packets are accepted again (RFC 4303 section 3.4.3)"
            .to_owned(),
        window => {
            format!("a replay window of {window} packets is below the minimum of 32 (RFC 4303 section 3.4.3)")
        }
    })
}

/// The rate is that of its whole life; an SA that is rekeyed before its numbers end is fine.
fn sequence_lifetime(seen: &ObservedSa, now_s: Option<u64>) -> Option<String> {
    let age = now_s?.checked_sub(seen.added_s).filter(|age| *age >= MIN_AGE_S && seen.added_s > 0)?;
    if seen.sa.esn || seen.sa.id.proto == COMP || seen.packets == 0 {
        return None;
    }
    let sent = seen.now.oseq.max(seen.now.seq).max(seen.packets);
    let room = u64::from(u32::MAX).saturating_sub(sent);
    let left = u128::from(room).saturating_mul(u128::from(age)) / u128::from(seen.packets);
    let left = u64::try_from(left).unwrap_or(u64::MAX);
    let limits = &seen.sa.limits;
    let rekeyed = limits.soft_add_s.or(limits.hard_add_s).is_some_and(|end| end < age.saturating_add(left))
        || limits.soft_packets.or(limits.hard_packets).is_some_and(|end| end < u64::from(u32::MAX));
    let rate = seen.packets / age;
    (left < SOON_S && !rekeyed).then(|| {
        format!(
            "at {rate} packets/s its 32-bit sequence numbers end in {} h, then it sends nothing",
            left / 3600
        )
    })
}

fn mode_pair(sa: &Sa, back: &[&ObservedSa]) -> bool {
    let other = match sa.mode {
        Mode::Tunnel => Mode::Transport,
        Mode::Transport => Mode::Tunnel,
        Mode::Beet | Mode::Other(_) => return false,
    };
    let same: Vec<_> = back.iter().filter(|twin| twin.sa.id.proto == sa.id.proto && !twin.larval).collect();
    !same.is_empty() && same.iter().all(|twin| twin.sa.mode == other)
}

fn duplicates(sas: &[ObservedSa]) -> Vec<Finding> {
    let mut first: HashMap<(IpAddr, Spi, u8), Vec<Mark>> = HashMap::new();
    let mut found = Vec::new();
    for (index, seen) in sas.iter().enumerate() {
        let id = seen.sa.id;
        let before = first.entry((id.dst, id.spi, id.proto)).or_default();
        if before.iter().any(|mark| overlap(*mark, id.mark)) {
            found.push(Finding {
                code: LintCode::DuplicateSa,
                object: name(&seen.sa),
                reason: "another SA has the same destination, SPI and protocol, and packets that fit the marks of both".to_owned(),
                fix: "give them masks that exclude each other, or another SPI".to_owned(),
                subject: Subject::Sa(index),
            });
        }
        before.push(id.mark);
    }
    found
}

/// `xfrm_state_lookup` takes the first for which `mark & mask == value`.
const fn overlap(one: Mark, other: Mark) -> bool {
    (one.value ^ other.value) & one.mask & other.mask == 0
}
