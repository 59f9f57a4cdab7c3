//! The kernel's newest SA: while the agent knows it, the datapath judges an SPI that the maps do not have by itself.

use anyhow::{Context as _, Result, ensure};
use esp_agent::{
    datapath::{object, read},
    xfrm::model::ESP,
};
use esp_common::{Action, Addr, Hook, LARVAL_NS, NewestSa, Reason, Settings};
use esp_tests::{
    agent::PATIENCE,
    frame::{Frame, Ipv4, Payload},
    kernel::{Constants, Kernel},
    lab::{Gateway, Lab, Mode, Outer, Side, Suite, Tunnel, batch, counted},
    link::mac,
    netns::Netns,
    wait::until_ok,
    wire::Wire,
    world::{PEER, PEER6, US, US6, World, addr},
};
use nix::sys::signal::Signal;
use std::net::Ipv4Addr;

/// SPIs that the maps do not have.
const OLDER: u32 = 0x8000_0001;
const NEWER: u32 = 0x8000_0002;
const NOBODYS: u32 = 0x8000_0003;

fn sa(verb: &str, [src, dst]: [&str; 2], spi: u32, more: &str) -> String {
    format!("xfrm state {verb} src {src} dst {dst} proto esp spi {spi} {more}\n")
}

fn added(route: [&str; 2], spi: u32, mark: &str) -> String {
    let key = "0x000102030405060708090a0b0c0d0e0f10111213";
    sa("add", route, spi, &format!("mode tunnel aead rfc4106(gcm(aes)) {key} 128 {mark}"))
}

/// The harness fills the maps, so what it says of the newest SA may be untrue: that shows who decides.
#[test]
#[ignore = "T4: root, ESP"]
fn the_kernel_is_asked_unless_its_newest_sa_is_known() -> Result<()> {
    let netns = Netns::new("sad")?;
    let mut kernel = Kernel::load(Constants::default())?;
    let newest = |kernel: &Kernel| netns.run_in(|| kernel.newest());
    let Some(none) = newest(&kernel)? else {
        ensure!(!object::asks_kernel()?, "this kernel can be asked, and its newest SA cannot be read");
        return Ok(());
    };
    ensure!(none.newest.count == 0, "{none:?}");
    batch(&netns, &added([PEER, US], OLDER, ""))?;
    let older = newest(&kernel)?.context("it was read before")?;
    ensure!(is(&older, US, OLDER, 1), "{older:?}");
    batch(&netns, &added([PEER6, US6], NEWER, "mark 5 mask 0xff"))?;
    let newer = newest(&kernel)?.context("it was read before")?;
    ensure!(is(&newer, US6, NEWER, 2) && (newer.mark, newer.mask) == (5, 0xff), "{newer:?}");

    let mut ends = |known: Option<NewestSa>, spi| {
        let newest = known.map(|known| known.newest).unwrap_or_default();
        let settings = Settings { newest, ..World::lab().settings };
        kernel.tell(&World { settings, ..World::lab() })?;
        let before = kernel.reason(Hook::Xdp, Reason::EspKnown, Action::Pass)?.packets;
        let action = netns.run_in(|| kernel.verdict(Hook::Xdp, &frame(spi)))?;
        let passed = kernel.reason(Hook::Xdp, Reason::EspKnown, Action::Pass)?.packets - before;
        ensure!((action == Action::Pass) == (passed == 1), "{action:?}, {passed} known");
        Ok(action)
    };
    for (known, spi, wanted) in [
        (None, OLDER, Action::Pass),
        (None, NOBODYS, Action::Drop),
        // One that was put in later may be any.
        (Some(older), OLDER, Action::Pass),
        (Some(none), OLDER, Action::Pass),
        (Some(newer), OLDER, Action::Drop),
        (Some(newer), NOBODYS, Action::Drop),
    ] {
        let action = ends(known, spi)?;
        ensure!(action == wanted, "{spi:#x}, {known:?} known: {action:?}");
    }
    // Without the newest the one before is it again.
    batch(&netns, &sa("delete", [PEER6, US6], NEWER, "mark 5 mask 0xff"))?;
    ensure!(ends(Some(newer), OLDER)? == Action::Pass, "the newest is gone");
    ensure!(ends(Some(older), OLDER)? == Action::Drop, "the older is the newest again");
    Ok(())
}

fn is(newest: &NewestSa, dst: &str, spi: u32, count: u32) -> bool {
    let dst = addr(dst);
    let found = if dst.is_v4() {
        let [a, b, c, d, ..] = newest.daddr;
        Addr::from_v4([a, b, c, d])
    } else {
        Addr::from_v6(newest.daddr)
    };
    (found, newest.newest.spi, newest.proto, newest.newest.count) == (dst, spi.to_be(), ESP, count)
}

fn frame(spi: u32) -> Vec<u8> {
    let [from, to] = [PEER, US].map(|text| text.parse::<Ipv4Addr>().expect("IPv4"));
    Frame::v4(&Ipv4::new(from, to), &Payload::esp(spi, 1, 64)).build()
}

/// An agent that is held cannot put an SA into the maps, and one that a peer uses at once is not dropped for it.
#[test]
#[ignore = "T4: root, ESP"]
fn an_sa_that_the_agent_has_not_heard_of_is_not_dropped() -> Result<()> {
    let lab = Lab::new()?;
    let tunnel = Tunnel::new(Outer::V4, Suite::Gcm, Mode::Tunnel)?;
    let guard = "[guard]\nunknown_spi = \"enforce\"\n";
    let mut a = Gateway::new(&lab, Side::A, &format!("{guard}{}", tunnel.config(Side::A, "")))?;
    a.start()?;
    let maps = a.maps()?;
    let known = || Ok::<_, anyhow::Error>(read::settings(&maps)?.newest);
    let asks = object::asks_kernel()?;
    let wait_known = |what: &str| {
        until_ok(PATIENCE, what, || {
            let known = known()?;
            ensure!((known.at != 0) == asks, "{known:?}");
            Ok(known)
        })
    };
    let first = wait_known("the newest SA to be known")?;
    let router = Wire::open(&lab.router, "eth5")?;
    let send = |spi: u32| {
        let [from, to] = [[10, 66, 66, 1], [10, 55, 55, 1]].map(Ipv4Addr::from);
        let macs = [Ipv4Addr::new(10, 55, 55, 55), to].map(|addr| mac(addr.into()));
        let esp = Payload::esp(spi, 1, 64);
        router.send(&Frame::v4(&Ipv4::new(from, to), &esp).macs(macs[0], macs[1]).build())
    };
    let ends = |spi: u32, reason, action| {
        let before = counted(&maps, Hook::Xdp, reason, action);
        send(spi)?;
        until_ok(PATIENCE, "a packet at XDP", || {
            let more = counted(&maps, Hook::Xdp, reason, action) - before;
            ensure!(more == 1, "{more} of {reason:?}");
            Ok(())
        })
    };
    // Where the kernel cannot be asked an SPI is nobody's only after half a minute.
    let (heard, unheard) =
        if asks { (Action::Drop, Reason::EspKnown) } else { (Action::Pass, Reason::UnknownUnsynced) };
    let nobodys = if asks { Reason::UnknownSpi } else { Reason::UnknownUnsynced };
    ends(NOBODYS, nobodys, heard)?;

    a.agent()?.signal(Signal::SIGSTOP)?;
    // However slow this machine is, the picture may be trusted while the agent is held; not so long that it rules SPIs out.
    let settings = read::settings(&maps)?;
    let lease_ns = settings.lease_ns + LARVAL_NS / 2;
    a.maps()?.settings.set(0, Settings { lease_ns, ..settings }, 0)?;
    batch(&a.netns, &added(["10.66.66.1", "10.55.55.1"], NEWER, ""))?;
    ends(NEWER, unheard, Action::Pass)?;
    ends(NOBODYS, nobodys, heard)?;
    a.agent()?.signal(Signal::SIGCONT)?;
    until_ok(PATIENCE, "the agent to know the new SA as the newest", || {
        let known_spi = counted(&maps, Hook::Xdp, Reason::EspKnown, Action::Pass);
        send(NEWER)?;
        ensure!(counted(&maps, Hook::Xdp, Reason::EspKnown, Action::Pass) > known_spi, "not in the maps");
        ensure!(!asks || ![0, first.at].contains(&known()?.at), "still {first:?}");
        Ok(())
    })?;
    ends(NOBODYS, nobodys, heard)
}
