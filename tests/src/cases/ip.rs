//! IP headers, true and false.

use super::{Case, to_us, to_us6, v4, v6};
use crate::{
    frame::{Ext, Frame, Ipv4, Ipv6, Payload},
    world::{OTHER, PEER6, SPI, US, US6},
};
use esp_common::{Hook, Reason};

pub(super) fn cases() -> Vec<Case> {
    [ipv4(), fragments(), ipv6(), chains(), fragments6(), big()].concat()
}

fn esp() -> Payload {
    Payload::esp(SPI, 1, 64)
}

fn four(name: &'static str, header: &Ipv4, reason: Reason) -> Case {
    Case::xdp(name, Frame::v4(header, &esp()).build(), reason)
}

fn six(name: &'static str, header: &Ipv6, reason: Reason) -> Case {
    Case::xdp(name, Frame::v6(header, &esp()).build(), reason)
}

fn ipv4() -> Vec<Case> {
    let (known, bad) = (Reason::EspKnown, Reason::Malformed);
    let len = 20 + 8 + 64;
    let padded = Frame::v4(&to_us(), &esp()).pad(18).build();
    let short = Frame::v4(&to_us().total_len(27), &esp()).build();
    vec![
        four("IPv4 with 4 bytes of options", &to_us().options(4), known).known(US, SPI),
        four("IPv4 with 40 bytes of options", &to_us().options(40), known).known(US, SPI),
        four("IPv4 header length of 4 words", &to_us().ihl(4), bad),
        four("IPv4 header length of 0", &to_us().ihl(0), bad),
        four("IPv4 of version 6", &to_us().version(6), bad),
        four("IPv4 of version 0", &to_us().version(0), bad),
        four("IPv4 length of 0", &to_us().total_len(0), bad),
        four("IPv4 length below its header", &to_us().total_len(19), bad),
        four("IPv4 length below its options", &to_us().options(8).total_len(27), bad),
        four("IPv4 length of the header alone", &to_us().total_len(20), Reason::Truncated),
        four("IPv4 length one beyond the frame", &to_us().total_len(len + 1), Reason::Truncated),
        four("IPv4 length far beyond the frame", &to_us().total_len(9000), Reason::Truncated),
        four("IPv4 length below the frame", &to_us().total_len(len - 8), known).known(US, SPI),
        Case::xdp("IPv4 with padding", padded, known).known(US, SPI),
        Case::xdp("ESP that reaches into the padding", short, Reason::Truncated),
        Case::xdp("TCP", Frame::v4(&to_us(), &Payload::tcp(1024, 443, 9)).build(), Reason::NotEsp),
        Case::xdp("ICMP", Frame::v4(&to_us(), &Payload::icmp_echo(1, 1, 56)).build(), Reason::NotEsp),
        Case::xdp("AH", Frame::v4(&to_us(), &Payload::raw(51, vec![0; 24])).build(), Reason::NotEsp),
        Case::xdp(
            "a protocol without a payload",
            Frame::v4(&to_us(), &Payload::raw(89, vec![])).build(),
            Reason::NotEsp,
        ),
    ]
}

fn fragments() -> Vec<Case> {
    let (first, later) = (Reason::EspKnown, Reason::Fragment);
    let cut = Frame::v4(&to_us().fragment(0, true), &Payload::raw(50, vec![0x69, 0x42, 0x75, 0x67]));
    vec![
        four("IPv4 first fragment", &to_us().fragment(0, true), first).known(US, SPI),
        four("IPv4 middle fragment", &to_us().fragment(8, true), later),
        four("IPv4 last fragment", &to_us().fragment(16, false), later),
        four("IPv4 fragment at half of the highest offset", &to_us().fragment(0x1000, false), later),
        four("IPv4 fragment at the highest offset", &to_us().fragment(0x1fff, false), later),
        Case::xdp("IPv4 first fragment of half an ESP header", cut.build(), Reason::Truncated),
        Case::egress(
            "IPv4 last fragment on its way out",
            Frame::v4(&v4(US, OTHER).fragment(8, false), &esp()).build(),
            later,
        ),
    ]
}

fn ipv6() -> Vec<Case> {
    let frame = |header: &Ipv6| Frame::v6(header, &esp());
    let cut = |name, len| Case::xdp(name, frame(&to_us6()).cut(len).build(), Reason::Truncated);
    vec![
        cut("IPv6 without a byte of its header", 14),
        cut("half an IPv6 header", 34),
        cut("an IPv6 header but for its last byte", 53),
        cut("an IPv6 header and nothing behind it", 54),
        six("IPv6 of version 4", &to_us6().version(4), Reason::Malformed),
        six("IPv6 length of 0", &to_us6().payload_len(0), Reason::Truncated),
        six("IPv6 length of 7", &to_us6().payload_len(7), Reason::Truncated),
        six("IPv6 length of 8", &to_us6().payload_len(8), Reason::EspKnown).known(US6, SPI),
        six("IPv6 length one beyond the frame", &to_us6().payload_len(8 + 64 + 1), Reason::Truncated),
        six("an IPv6 source that is IPv4", &v6("::ffff:10.66.66.1", US6), Reason::Malformed),
        six("an IPv6 destination that is our IPv4 one", &v6(PEER6, "::ffff:10.55.55.1"), Reason::Malformed),
        Case::xdp("IPv6 with padding", frame(&to_us6()).pad(6).build(), Reason::EspKnown).known(US6, SPI),
        Case::xdp("ICMPv6", Frame::v6(&to_us6(), &Payload::icmp_echo(1, 1, 56)).build(), Reason::NotEsp),
        Case::xdp("no next header", Frame::v6(&to_us6(), &Payload::raw(59, vec![])).build(), Reason::NotEsp),
    ]
}

fn chains() -> Vec<Case> {
    let known = |name, exts: &[Ext]| {
        let header = exts.iter().fold(to_us6(), |header, ext| header.ext(*ext));
        six(name, &header, Reason::EspKnown).known(US6, SPI)
    };
    let hop = Ext::HopByHop(0);
    let seven = (0..7).fold(to_us6(), |header, _| header.ext(Ext::DestOpts(0)));
    let whole = Frame::v6(&to_us6().ext(Ext::DestOpts(2)), &esp());
    let none = to_us6().ext(Ext::DestOpts(2)).payload_len(16);
    let none = Frame::v6(&none, &Payload::raw(59, vec![])).build();
    vec![
        known("hop-by-hop", &[hop]),
        known("routing", &[Ext::Routing(2)]),
        known("destination options", &[Ext::DestOpts(1)]),
        known("the longest extension header", &[Ext::DestOpts(255)]),
        known(
            "the chain of RFC 8200",
            &[hop, Ext::DestOpts(0), Ext::Routing(1), Ext::Fragment(0, false), Ext::DestOpts(0)],
        ),
        known(
            "six extension headers",
            &[hop, Ext::DestOpts(0), Ext::Routing(0), Ext::DestOpts(0), Ext::Routing(0), Ext::DestOpts(0)],
        ),
        six("seven extension headers", &seven, Reason::ChainTooLong),
        Case::xdp(
            "a chain that ends before its header",
            whole.clone().cut(14 + 40).build(),
            Reason::Truncated,
        ),
        six(
            "an extension beyond the length",
            &to_us6().ext(Ext::DestOpts(2)).payload_len(16),
            Reason::Truncated,
        ),
        Case::xdp("an extension beyond the length and nothing behind it", none, Reason::Truncated),
        six("a chain and no room for ESP", &to_us6().ext(hop).payload_len(8 + 7), Reason::Truncated),
        six("AH is not followed", &to_us6().ext(Ext::Auth(4)), Reason::NotEsp),
    ]
}

fn fragments6() -> Vec<Case> {
    let six = |name, exts: &[Ext], reason| {
        let header = exts.iter().fold(to_us6(), |header, ext| header.ext(*ext));
        six(name, &header, reason)
    };
    let known = Reason::EspKnown;
    vec![
        six("IPv6 atomic fragment", &[Ext::Fragment(0, false)], known).known(US6, SPI),
        six("IPv6 first fragment", &[Ext::Fragment(0, true)], known).known(US6, SPI),
        six("IPv6 middle fragment", &[Ext::Fragment(64, true)], Reason::Fragment),
        six("IPv6 last fragment", &[Ext::Fragment(64, false)], Reason::Fragment),
        six(
            "IPv6 last fragment behind hop-by-hop",
            &[Ext::HopByHop(0), Ext::Fragment(1, false)],
            Reason::Fragment,
        ),
        six(
            "a later fragment hides what follows",
            &[Ext::Fragment(1, false), Ext::DestOpts(255)],
            Reason::Fragment,
        ),
    ]
}

/// Only the stack makes them, on their way out: too long for `BPF_PROG_TEST_RUN`.
fn big() -> Vec<Case> {
    let long = Payload::raw(6, vec![0; 40_000]);
    let grow = |mut frame: Vec<u8>| {
        frame.resize(70_000, 0);
        frame
    };
    let four = grow(Frame::v4(&v4(US, OTHER).total_len(0), &long).build());
    let six = grow(Frame::v6(&v6(US6, PEER6).payload_len(0), &long).build());
    vec![
        Case::new("BIG TCP over IPv4", Hook::TcEgress, four, Reason::NotEsp),
        Case::new("BIG TCP over IPv6", Hook::TcEgress, six, Reason::NotEsp),
    ]
}
