//! Link headers: Ethernet, tags, none at all.

use super::{Case, to_us, to_us6, v4};
use crate::{
    frame::{Frame, Payload},
    world::{PEER, SPI, US, US6, World},
};
use esp_common::{Hook, Reason};

pub(super) fn cases() -> Vec<Case> {
    [short(), tags(), others(), bare()].concat()
}

/// No name is needed for each length: a short frame is one idea.
fn short() -> Vec<Case> {
    let names = [
        "no byte", "1 byte", "2 bytes", "3 bytes", "4 bytes", "5 bytes", "6 bytes", "7 bytes", "8 bytes",
        "9 bytes", "10 bytes", "11 bytes", "12 bytes", "13 bytes",
    ];
    let frame = |len| Frame::v4(&to_us(), &Payload::esp(SPI, 1, 64)).cut(len).build();
    let short = names.iter().enumerate().map(|(len, name)| Case::xdp(name, frame(len), Reason::Truncated));
    let mut cases: Vec<_> = short.collect();
    for (name, hook) in
        [("13 bytes at TC ingress", Hook::TcIngress), ("13 bytes at TC egress", Hook::TcEgress)]
    {
        cases.push(Case::new(name, hook, frame(13), Reason::Truncated));
    }
    cases.push(Case::xdp("only an Ethernet header", frame(14), Reason::Truncated));
    cases.push(Case::xdp("half an IPv4 header", frame(24), Reason::Truncated));
    cases.push(Case::xdp("an IPv4 header but for its last byte", frame(33), Reason::Truncated));
    cases.push(Case::xdp("an IPv4 header and nothing behind it", frame(34), Reason::Truncated));
    cases.push(Case::egress("cut short on its way out", frame(40), Reason::Truncated));
    cases.push(Case::ingress("cut short at TC ingress", frame(40), Reason::Truncated));
    cases
}

fn tags() -> Vec<Case> {
    let esp = Payload::esp(SPI, 1, 64);
    let (four, six) = (Frame::v4(&to_us(), &esp), Frame::v6(&to_us6(), &esp));
    let known4 = |name, frame: Frame| Case::xdp(name, frame.build(), Reason::EspKnown).known(US, SPI);
    let known6 = |name, frame: Frame| Case::xdp(name, frame.build(), Reason::EspKnown).known(US6, SPI);
    let not_ip = |name, frame: Frame| Case::xdp(name, frame.build(), Reason::NotIp);
    vec![
        known4("IPv4", four.clone()),
        known4("IPv4 behind a VLAN tag", four.clone().vlan(5)),
        known4("IPv4 behind a service tag", four.clone().tag(0x88a8, 5)),
        known4("IPv4 behind QinQ", four.clone().qinq(5, 6)),
        known4("IPv4 behind two customer tags", four.clone().vlan(5).vlan(6)),
        not_ip("IPv4 behind three tags", four.clone().qinq(5, 6).vlan(7)),
        not_ip("IPv4 behind the old 0x9100 tag", four.clone().tag(0x9100, 5)),
        known6("IPv6", six.clone()),
        known6("IPv6 behind a VLAN tag", six.clone().vlan(5)),
        known6("IPv6 behind QinQ", six.clone().qinq(5, 6)),
        not_ip("IPv6 behind three tags", six.clone().qinq(5, 6).vlan(7)),
        Case::xdp("a VLAN tag cut short", four.clone().vlan(5).cut(16).build(), Reason::Truncated),
        Case::xdp("a second tag cut short", four.clone().qinq(5, 6).cut(20).build(), Reason::Truncated),
        Case::xdp("IPv4 said to be IPv6", four.ethertype(0x86dd).build(), Reason::Malformed),
        Case::xdp("IPv6 said to be IPv4", six.ethertype(0x0800).build(), Reason::Malformed),
    ]
}

fn others() -> Vec<Case> {
    let not_ip = |name, ethertype| Case::xdp(name, Frame::raw(ethertype, vec![0; 46]).build(), Reason::NotIp);
    vec![
        not_ip("ARP", 0x0806),
        not_ip("LLDP", 0x88cc),
        not_ip("an 802.3 length instead of a type", 46),
        Case::ingress("ARP at TC ingress", Frame::raw(0x0806, vec![0; 28]).build(), Reason::NotIp),
        Case::egress("ARP on its way out", Frame::raw(0x0806, vec![0; 28]).build(), Reason::NotIp),
    ]
}

fn bare() -> Vec<Case> {
    let esp = Payload::esp(SPI, 1, 64);
    let bare =
        |name, frame: Vec<u8>, reason| Case::xdp(name, frame, reason).world(World::lab().no_ethernet());
    let packet = to_us().packet(&esp);
    let ingress =
        |name, frame| Case::ingress(name, frame, Reason::EspJudged).world(World::lab().no_ethernet());
    vec![
        bare("IPv4 without a link header", packet.clone(), Reason::EspKnown).known(US, SPI),
        bare("IPv6 without a link header", to_us6().packet(&esp), Reason::EspKnown).known(US6, SPI),
        bare("no link header and a version of neither", to_us().version(5).packet(&esp), Reason::NotIp),
        bare("no link header and no byte", Vec::new(), Reason::Truncated),
        bare("no link header and half an IP header", packet[..15].to_vec(), Reason::Truncated),
        ingress("no link header at TC ingress", packet),
        Case::egress("no link header on its way out", v4(US, PEER).packet(&esp), Reason::EspKnown)
            .world(World::lab().no_ethernet())
            .known(PEER, SPI),
    ]
}
