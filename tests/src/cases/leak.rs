//! Clear text on its way out against policies.

use super::{Case, v4, v6};
use crate::{
    frame::{Frame, Ipv4, Payload},
    world::{OTHER, PEER, SPI, US, US6, World, only, rule},
};
use esp_common::{
    Guard, Mode, Reason, Rule,
    RuleAction::{Bypass, Protect},
};

const STRANGE: u32 = 0xdead_beef;
const OURS: &str = "192.168.1.0/24";
const THEIRS: &str = "192.168.2.0/24";
const HERE: &str = "192.168.1.2";
const THERE: &str = "192.168.2.2";
const ANY: &str = "0.0.0.0/0";
const OUT: u8 = Rule::DIR_OUT;

pub(super) fn cases() -> Vec<Case> {
    let outward = || v4(HERE, THERE);
    let leak = |name, world: World| {
        Case::egress(name, frame(&outward(), &tcp(80)), Reason::CleartextOut).world(world)
    };
    let passed = |name, header: &Ipv4, payload: &Payload, world: World| {
        Case::egress(name, frame(header, payload), Reason::NotEsp).world(world)
    };
    let with = |mode| lab().guard(Guard::CleartextOut, mode);
    let out = rule(OUT, Protect, OURS, THEIRS, 17);
    let dns = only(rule(OUT, Bypass, OURS, THEIRS, 25), 17, Some(53));
    let both = || World::lab().rules_out([dns, out]);
    let all = || World::lab().rules_out([rule(OUT, Protect, ANY, ANY, 17)]);
    let udp = |dport| Payload::udp(1024, dport, vec![0; 64]);
    let esp = Payload::esp(STRANGE, 1, 32);
    let mut big = frame(&outward().total_len(0), &Payload::raw(6, vec![0; 40_000]));
    big.resize(70_000, 0);
    vec![
        leak("clear text out, enforcing", lab()).dropped(17),
        leak("clear text out, observing", with(Mode::Observe)).observed(17),
        passed("clear text out, off", &outward(), &tcp(80), with(Mode::Off)),
        leak("clear text out, unsynced", lab().unsynced()).observed(17),
        passed("clear text out to elsewhere", &v4(HERE, OTHER), &tcp(80), lab()),
        passed("the other direction of a policy", &v4(THERE, HERE), &tcp(80), lab()),
        passed("a bypass on the way out", &outward(), &udp(53), both()),
        Case::egress("no bypass on the way out", frame(&outward(), &udp(54)), Reason::CleartextOut)
            .world(both())
            .dropped(17),
        Case::egress(
            "a last fragment out that the bypass may mean",
            frame(&outward().fragment(8, false), &udp(9)),
            Reason::Fragment,
        )
        .world(both()),
        Case::egress("our known ESP out", frame(&v4(US, PEER), &Payload::esp(SPI, 1, 32)), Reason::EspKnown)
            .world(all())
            .known(PEER, SPI),
        Case::egress(
            "our ESP of an SA that is not known yet",
            frame(&v4(US, OTHER), &esp),
            Reason::EspForeign,
        )
        .world(all())
        .ghost(OTHER, STRANGE),
        Case::egress(
            "ESP of a host behind us is payload",
            frame(&v4(HERE, OTHER), &esp),
            Reason::CleartextOut,
        )
        .world(all())
        .ghost(OTHER, STRANGE)
        .dropped(17),
        Case::egress("our IKE out", frame(&v4(US, PEER), &Payload::udp(500, 500, vec![0; 28])), Reason::Ike)
            .world(all()),
        Case::egress(
            "IKE of a host behind us",
            frame(&v4(HERE, PEER), &Payload::udp(500, 500, vec![0; 28])),
            Reason::CleartextOut,
        )
        .world(all())
        .dropped(17),
        Case::egress("our own clear text out", frame(&v4(US, PEER), &tcp(22)), Reason::CleartextOut)
            .world(all())
            .dropped(17),
        Case::egress("BIG TCP out in the clear", big, Reason::CleartextOut).world(lab()).dropped(17),
        Case::egress("clear IPv6 out", Frame::v6(&v6(US6, "fd02::2"), &tcp(1)).build(), Reason::CleartextOut)
            .world(World::lab().rules_out([rule(OUT, Protect, "::/0", "fd02::/64", 33)]))
            .dropped(33),
    ]
}

fn frame(header: &Ipv4, payload: &Payload) -> Vec<u8> {
    Frame::v4(header, payload).build()
}

fn tcp(dport: u16) -> Payload {
    Payload::tcp(1024, dport, 20)
}

/// The lab's policy.
fn lab() -> World {
    World::lab().rules_out([rule(OUT, Protect, OURS, THEIRS, 17)])
}
