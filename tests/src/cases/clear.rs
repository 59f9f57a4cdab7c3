//! Clear text from the wire against policies.

use super::{Case, v4, v6};
use crate::{
    frame::{Ext, Frame, Ipv4, Payload},
    world::{OTHER, PEER, SPI, US, World, from_port, only, rule},
};
use esp_common::{
    Guard, Mode, Reason, Rule,
    RuleAction::{Bypass, Discard, Protect},
};

const STRANGE: u32 = 0xdead_beef;
const OURS: &str = "192.168.1.0/24";
const THEIRS: &str = "192.168.2.0/24";
const HERE: &str = "192.168.1.2";
const THERE: &str = "192.168.2.2";
const ANY: &str = "0.0.0.0/0";
const IN: u8 = Rule::DIR_IN;
const FWD: u8 = Rule::DIR_FWD;

pub(super) fn cases() -> Vec<Case> {
    [modes(), directions(), fields(), order(), own(), fragments(), broken(), transforms()].concat()
}

fn frame(header: &Ipv4, payload: &Payload) -> Vec<u8> {
    Frame::v4(header, payload).build()
}

fn inward() -> Ipv4 {
    v4(THERE, HERE)
}

fn tcp(dport: u16) -> Payload {
    Payload::tcp(1024, dport, 20)
}

/// The lab's policies, at both ends of the stack.
fn lab() -> World {
    World::lab().rules_in(rules(Protect, Protect))
}

fn rules(into: esp_common::RuleAction, fwd: esp_common::RuleAction) -> [Rule; 2] {
    [rule(IN, into, THEIRS, OURS, 8), rule(FWD, fwd, THEIRS, OURS, 10)]
}

fn caught(name: &'static str, header: &Ipv4, payload: &Payload, world: World) -> Case {
    Case::ingress(name, frame(header, payload), Reason::CleartextIn).world(world)
}

fn passed(name: &'static str, header: &Ipv4, payload: &Payload, world: World) -> Case {
    Case::ingress(name, frame(header, payload), Reason::NotEsp).world(world)
}

fn modes() -> Vec<Case> {
    let with = |mode| lab().guard(Guard::CleartextIn, mode);
    let six = Frame::v6(&v6("fd02::2", "fd01::2"), &tcp(80)).build();
    let rules6 = [rule(FWD, Protect, "fd02::/64", "fd01::/64", 26)];
    vec![
        caught("clear text in, enforcing", &inward(), &tcp(80), lab()).dropped(10),
        caught("clear text in, observing", &inward(), &tcp(80), with(Mode::Observe)).observed(10),
        passed("clear text in, off", &inward(), &tcp(80), with(Mode::Off)),
        caught("clear text in, unsynced", &inward(), &tcp(80), lab().unsynced()).observed(10),
        caught("clear text in, lease expired", &inward(), &tcp(80), lab().expired()).observed(10),
        caught("clear text in where there is no XDP", &inward(), &tcp(80), lab().outer_at_tc()).dropped(10),
        passed("clear text from elsewhere", &v4(OTHER, HERE), &tcp(80), lab()),
        passed("clear text to elsewhere", &v4(THERE, OTHER), &tcp(80), lab()),
        passed("clear text without policies", &inward(), &tcp(80), World::lab()),
        Case::ingress("clear IPv6 in", six.clone(), Reason::CleartextIn)
            .world(World::lab().rules_in(rules6))
            .dropped(26),
        Case::ingress("clear IPv6 and a policy for all of IPv4", six, Reason::NotEsp)
            .world(World::lab().rules_in([rule(FWD, Protect, ANY, ANY, 10)])),
        passed(
            "clear IPv4 and a policy for all of IPv6",
            &inward(),
            &tcp(80),
            World::lab().rules_in([rule(FWD, Protect, "::/0", "::/0", 10)]),
        ),
        Case::xdp("clear text at XDP", frame(&inward(), &tcp(80)), Reason::NotEsp).world(lab()),
    ]
}

/// `in` and `fwd`: TC cannot tell which of them will be asked.
fn directions() -> Vec<Case> {
    let with = |rules: &[Rule]| World::lab().rules_in(rules);
    let [into, fwd] = rules(Protect, Protect);
    let [let_in, let_through] = rules(Bypass, Bypass);
    let [no_in, no_through] = rules(Discard, Discard);
    let caught =
        |name, rules: &[Rule], policy| caught(name, &inward(), &tcp(80), with(rules)).dropped(policy);
    let passed = |name, rules: &[Rule]| passed(name, &inward(), &tcp(80), with(rules));
    vec![
        caught("fwd protects, in says nothing", &[fwd], 10),
        caught("in protects, fwd says nothing", &[into], 8),
        passed("fwd protects, in lets pass", &[fwd, let_in]),
        passed("in protects, fwd lets pass", &[into, let_through]),
        passed("both let pass", &[let_in, let_through]),
        passed("the kernel discards both", &[no_in, no_through]),
        passed("the kernel discards one", &[into, no_through]),
        passed(
            "an out policy says nothing about what comes in",
            &[rule(Rule::DIR_OUT, Protect, THEIRS, OURS, 17)],
        ),
    ]
}

fn fields() -> Vec<Case> {
    let padded = Frame::v4(&inward(), &Payload::raw(6, vec![0, 80, 0])).pad(26).build();
    let fwd = rule(FWD, Protect, THEIRS, OURS, 10);
    let with = |rule| World::lab().rules_in([rule]);
    let icmp = Payload::icmp_echo(1, 1, 8);
    let (web, udp) = (with(only(fwd, 6, Some(80))), Payload::udp(1024, 80, vec![0; 8]));
    vec![
        caught("the port of a policy", &inward(), &tcp(80), web.clone()).dropped(10),
        passed("another port", &inward(), &tcp(81), web.clone()),
        passed("another protocol", &inward(), &udp, web),
        caught("the protocol of a policy", &inward(), &udp, with(only(fwd, 17, None))).dropped(10),
        caught("the source port of a policy", &inward(), &tcp(9), with(from_port(only(fwd, 6, None), 1024)))
            .dropped(10),
        passed("another source port", &inward(), &tcp(9), with(from_port(only(fwd, 6, None), 1025))),
        caught("ICMP type and code of a policy", &inward(), &icmp, with(from_port(only(fwd, 1, Some(0)), 8)))
            .dropped(10),
        passed("another ICMP type", &inward(), &icmp, with(from_port(only(fwd, 1, None), 0))),
        passed("another ICMP code", &inward(), &icmp, with(only(fwd, 1, Some(3)))),
        Case::ingress("TCP of 3 bytes and padding has no port", padded, Reason::NotEsp)
            .world(with(from_port(only(fwd, 6, None), 80))),
        caught("the last address of a network", &v4("192.168.2.255", "192.168.1.255"), &tcp(1), with(fwd))
            .dropped(10),
        passed("the first address behind a network", &v4("192.168.3.0", HERE), &tcp(1), with(fwd)),
    ]
}

/// The first rule that matches decides.
fn order() -> Vec<Case> {
    let fwd = rule(FWD, Protect, THEIRS, OURS, 10);
    let web = only(rule(FWD, Bypass, THEIRS, OURS, 18), 6, Some(80));
    let with = |rules: [Rule; 2]| World::lab().rules_in(rules);
    vec![
        passed("a bypass before the policy", &inward(), &tcp(80), with([web, fwd])),
        caught("what the bypass does not name", &inward(), &tcp(81), with([web, fwd])).dropped(10),
        caught("a bypass behind the policy", &inward(), &tcp(80), with([fwd, web])).dropped(10),
    ]
}

/// ESP and IKE: ours are excused, those of others are payload.
fn own() -> Vec<Case> {
    let all = World::lab().rules_in([rule(IN, Protect, ANY, ANY, 8), rule(FWD, Protect, ANY, ANY, 10)]);
    let to = |dst| v4(PEER, dst);
    let esp = Payload::esp(STRANGE, 1, 32);
    let case = |name, dst, payload: &Payload, reason| {
        Case::ingress(name, frame(&to(dst), payload), reason).world(all.clone())
    };
    let natt = Payload::udp(4500, 40_000, [&SPI.to_be_bytes()[..], &[0; 12]].concat());
    vec![
        case("our ESP is no clear text", US, &Payload::esp(SPI, 1, 32), Reason::EspJudged),
        case("unknown ESP to us is no clear text", US, &esp, Reason::EspJudged),
        case("ESP of others is payload", OTHER, &esp, Reason::CleartextIn).dropped(10),
        case("our IKE is no clear text", US, &Payload::udp(500, 500, vec![0; 28]), Reason::Ike),
        case("IKE of others is payload", OTHER, &Payload::udp(500, 500, vec![0; 28]), Reason::CleartextIn)
            .dropped(10),
        case("our keepalive is no clear text", US, &Payload::natt_keepalive(), Reason::NatKeepalive),
        case("our ESP in UDP from 4500 is no clear text", US, &natt, Reason::EspJudged),
        case("others from 4500 are clear text", OTHER, &natt, Reason::CleartextIn).dropped(10),
        case("clear text to us", US, &tcp(22), Reason::CleartextIn).dropped(10),
        Case::ingress("ARP under a policy for all", Frame::raw(0x0806, vec![0; 28]).build(), Reason::NotIp)
            .world(all.clone()),
        Case::ingress(
            "unknown ESP where there is no XDP is judged once",
            frame(&to(US), &esp),
            Reason::UnknownSpi,
        )
        .world(all.outer_at_tc())
        .ghost(US, STRANGE)
        .dropped(0),
    ]
}

/// A fragment shows no ports: it is caught only where they do not matter.
fn fragments() -> Vec<Case> {
    let atomic = v6("fd02::2", "fd01::2").ext(Ext::Fragment(0, false));
    let web6 = only(rule(FWD, Protect, "fd02::/64", "fd01::/64", 26), 6, Some(80));
    let fwd = rule(FWD, Protect, THEIRS, OURS, 10);
    let (web, through) = (only(fwd, 6, Some(80)), only(rule(FWD, Bypass, THEIRS, OURS, 18), 6, Some(80)));
    let with = |rules: &[Rule]| World::lab().rules_in(rules);
    let (first, last) = (inward().fragment(0, true), inward().fragment(8, false));
    let six = v6("fd02::2", "fd01::2").ext(Ext::Fragment(8, false));
    let rules6 = [rule(FWD, Protect, "fd02::/64", "fd01::/64", 26)];
    let all = [rule(IN, Protect, ANY, ANY, 8), rule(FWD, Protect, ANY, ANY, 10)];
    let later = |name, world| Case::ingress(name, frame(&last, &tcp(80)), Reason::Fragment).world(world);
    vec![
        caught("a first fragment in the policy", &first, &tcp(80), with(&[fwd])).dropped(10),
        caught("a last fragment in the policy", &last, &tcp(80), with(&[fwd])).dropped(10),
        Case::ingress(
            "a last IPv6 fragment in the policy",
            Frame::v6(&six, &tcp(80)).build(),
            Reason::CleartextIn,
        )
        .world(with(&rules6))
        .dropped(26),
        Case::ingress(
            "an atomic fragment has its ports",
            Frame::v6(&atomic, &tcp(80)).build(),
            Reason::CleartextIn,
        )
        .world(with(&[web6]))
        .dropped(26),
        later("a last fragment and a policy with a port", with(&[web])),
        passed("a first fragment and a policy with a port", &first, &tcp(80), with(&[web])),
        later("a last fragment that a bypass with a port may mean", with(&[through, fwd])),
        caught(
            "a last fragment of another protocol than the bypass",
            &last,
            &Payload::udp(1, 80, vec![0; 32]),
            with(&[through, fwd]),
        )
        .dropped(10),
        Case::ingress(
            "a last fragment to us may be of ESP",
            frame(&v4(PEER, US).fragment(8, false), &tcp(80)),
            Reason::Fragment,
        )
        .world(with(&all)),
    ]
}

/// What the parser cannot read to its end is clear text all the same.
fn broken() -> Vec<Case> {
    let half = Payload::raw(50, vec![1; 7]);
    let short = Payload::udp(1024, 4500, vec![7; 2]);
    let own = World::lab().rules_in([rule(IN, Protect, ANY, ANY, 8)]);
    vec![
        caught("half an ESP header in the policy", &inward(), &half, lab()).dropped(10),
        caught("half an ESP-in-UDP header in the policy", &inward(), &short, lab()).dropped(10),
        caught("one byte from port 4500 in the policy", &inward(), &Payload::udp(4500, 1024, vec![7]), lab())
            .dropped(10),
        Case::ingress("half an ESP header to us", frame(&v4(PEER, US), &half), Reason::Truncated).world(own),
    ]
}

/// AH and IPComp are undone before the kernel looks for a policy.
fn transforms() -> Vec<Case> {
    let world = || World::lab().rules_in([rule(IN, Protect, ANY, ANY, 8)]);
    vec![
        passed("AH to us", &v4(PEER, US), &Payload::raw(51, vec![0; 24]), world()),
        passed("IPComp to us", &v4(PEER, US), &Payload::raw(108, vec![0; 24]), world()),
        caught("AH of others", &v4(PEER, OTHER), &Payload::raw(51, vec![0; 24]), world()).dropped(8),
        caught("IP in IP to us", &v4(PEER, US), &Payload::raw(4, vec![0; 24]), world()).dropped(8),
    ]
}
