//! Packets that came through an SA: host only, for no test run can give a frame a secpath.

use super::{Case, v4};
use crate::{
    frame::{Frame, Ipv4, Payload},
    world::{OTHER, PEER, SPI, US, World, only, rule, through},
};
use esp_common::{Guard, Mode, Reason, Rule, RuleAction::Bypass, names::INNER_RULES_PER_SA};

pub(super) fn cases() -> Vec<Case> {
    [selectors(), fragments(), nested()].concat()
}

fn inward() -> Ipv4 {
    v4("192.168.2.2", "192.168.1.2")
}

fn fwd() -> Rule {
    rule(Rule::DIR_FWD, Bypass, "192.168.2.0/24", "192.168.1.0/24", 10)
}

fn case(name: &'static str, header: &Ipv4, payload: &Payload, world: World, reason: Reason) -> Case {
    let frame = Frame::v4(header, payload).build();
    Case { decrypted_by: Some(through(PEER)), ..Case::ingress(name, frame, reason).world(world) }
}

fn selectors() -> Vec<Case> {
    let tcp = Payload::tcp(1024, 80, 20);
    let with = |rules: &[Rule]| World::lab().inner(rules);
    let many = vec![only(fwd(), 17, None); INNER_RULES_PER_SA as usize];
    let (ok, bad, free) = (Reason::Decrypted, Reason::SelectorMismatch, Reason::DecryptedUnchecked);
    let mode = |mode| with(&[fwd()]).guard(Guard::Selectors, mode);
    let last = [&many[1..], &[fwd()]].concat();
    let over = [&many[..], &[fwd()]].concat();
    let stray = v4(OTHER, "192.168.1.2");
    vec![
        case("decrypted, in its selector", &inward(), &tcp, with(&[fwd()]), ok),
        case("decrypted, in its last selector", &inward(), &tcp, with(&last), ok),
        case("decrypted, outside its selector", &stray, &tcp, with(&[fwd()]), bad).dropped(10),
        case("decrypted, outside, observing", &stray, &tcp, mode(Mode::Observe), bad).observed(10),
        case("decrypted, outside, off", &stray, &tcp, mode(Mode::Off), free),
        case("decrypted, outside, unsynced", &stray, &tcp, with(&[fwd()]).unsynced(), free),
        case("decrypted, inside, unsynced", &inward(), &tcp, with(&[fwd()]).unsynced(), ok),
        case("decrypted, outside, lease expired", &stray, &tcp, with(&[fwd()]).expired(), free),
        case("decrypted by an SA without policy", &inward(), &tcp, with(&[]), bad).dropped(0),
        case("decrypted by an SA that is not known", &inward(), &tcp, World::lab(), free),
        case("decrypted by an SA with as many selectors as can be", &inward(), &tcp, with(&many), bad)
            .dropped(10),
        case("decrypted by an SA with too many selectors", &stray, &tcp, with(&over), free),
        case("decrypted clear text is no clear text", &inward(), &tcp, with(&[fwd()]).rules_in([fwd()]), ok),
        case("decrypted to another port", &inward(), &tcp, with(&[only(fwd(), 6, Some(81))]), bad)
            .dropped(10),
        Case {
            decrypted_by: Some(through(PEER)),
            ..Case::ingress("decrypted, not IP", Frame::raw(0x0806, vec![0; 28]).build(), Reason::NotIp)
        },
    ]
}

/// The policy for a fragment may ask for ports that it does not show: it has the benefit of the doubt.
fn fragments() -> Vec<Case> {
    let world = || World::lab().inner([only(fwd(), 17, Some(53))]);
    let (udp, tcp) = (Payload::udp(1024, 54, vec![0; 64]), Payload::tcp(1, 53, 9));
    let last = inward().fragment(8, false);
    vec![
        case("decrypted first fragment", &inward().fragment(0, true), &udp, world(), Reason::Decrypted),
        case("decrypted last fragment", &last, &udp, world(), Reason::Decrypted),
        case("decrypted last fragment of another protocol", &last, &tcp, world(), Reason::SelectorMismatch)
            .dropped(10),
        case(
            "decrypted GRE under a policy with a key",
            &inward(),
            &Payload::raw(47, vec![0; 8]),
            World::lab().inner([only(fwd(), 47, Some(9))]),
            Reason::Decrypted,
        ),
    ]
}

/// ESP inside ESP: the policy is for what comes out in the end.
fn nested() -> Vec<Case> {
    let world = || World::lab().inner([fwd()]);
    let esp = |spi| Payload::esp(spi, 1, 64);
    let free = Reason::DecryptedUnchecked;
    vec![
        case("ESP of ours inside ESP", &v4(PEER, US), &esp(SPI), world(), free),
        case("ESP in UDP of ours inside ESP", &v4(PEER, US), &Payload::natt_esp(SPI, 1, 64), world(), free),
        case("strange ESP inside ESP", &v4(PEER, US), &esp(0xdead_beef), world(), Reason::SelectorMismatch)
            .dropped(10),
    ]
}
