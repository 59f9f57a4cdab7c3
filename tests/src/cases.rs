//! The shared table of frames: what each must end in, on the host and in the kernel alike.

mod clear;
mod decrypted;
mod esp;
mod ip;
mod leak;
mod link;
mod natt;

use crate::frame::{Ipv4, Ipv6};
use crate::world::{TUNNEL, World, addr};
use esp_common::{Action, Direction, Guard, Hook, InnerKey, Mode, Reason, Spi};

/// A frame, the world it comes to, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Where it is seen.
    pub hook: Hook,
    /// The frame.
    pub frame: Vec<u8>,
    /// What the datapath was told.
    pub world: World,
    /// The SA that it was decrypted by: no way to say so in `BPF_PROG_TEST_RUN`.
    pub decrypted_by: Option<InnerKey>,
    /// Expected reason.
    pub reason: Reason,
    /// Expected action.
    pub action: Action,
    /// Expected flow.
    pub flow: Option<Flow>,
    /// Expected hit of a guard: which, in what mode, for which policy.
    pub hit: Option<(Guard, Mode, u32)>,
}

/// A flow that must have been counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Destination.
    pub dst: &'static str,
    /// SPI.
    pub spi: Spi,
    /// Direction.
    pub direction: Direction,
    /// An SA is behind it.
    pub known: bool,
    /// The tunnel that counts it too; 0 is none.
    pub tunnel: u32,
}

/// All of them.
///
/// # Panics
/// When two have one name.
#[must_use]
pub fn all() -> Vec<Case> {
    let cases = [
        link::cases(),
        ip::cases(),
        esp::cases(),
        natt::cases(),
        clear::cases(),
        leak::cases(),
        decrypted::cases(),
    ];
    let cases = cases.concat();
    let names: std::collections::HashSet<_> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    cases
}

impl Case {
    /// A frame at `hook` in the lab's world that passes for `reason`.
    fn new(name: &'static str, hook: Hook, frame: Vec<u8>, reason: Reason) -> Self {
        Self {
            name,
            hook,
            frame,
            world: World::lab(),
            decrypted_by: None,
            reason,
            action: Action::Pass,
            flow: None,
            hit: None,
        }
    }

    fn xdp(name: &'static str, frame: Vec<u8>, reason: Reason) -> Self {
        Self::new(name, Hook::Xdp, frame, reason)
    }

    fn ingress(name: &'static str, frame: Vec<u8>, reason: Reason) -> Self {
        Self::new(name, Hook::TcIngress, frame, reason)
    }

    fn egress(name: &'static str, frame: Vec<u8>, reason: Reason) -> Self {
        Self::new(name, Hook::TcEgress, frame, reason)
    }

    fn world(mut self, world: World) -> Self {
        self.world = world;
        self
    }

    /// It is dropped, and its guard says so.
    fn dropped(mut self, policy: u32) -> Self {
        self.action = Action::Drop;
        self.hit =
            Some((self.reason.guard().expect("a reason that drops has a guard"), Mode::Enforce, policy));
        self
    }

    /// It passes, and its guard says so.
    fn observed(mut self, policy: u32) -> Self {
        self.hit =
            Some((self.reason.guard().expect("a reason that hits has a guard"), Mode::Observe, policy));
        self
    }

    /// A flow of an SA is counted; the lab's IPv4 SAs have a tunnel.
    fn known(self, dst: &'static str, spi: u32) -> Self {
        let entry = self.world.sas.get(&esp_common::FlowKey::new(addr(dst), Spi::new(spi)));
        let tunnel = entry.expect("a known flow has an SA").tunnel;
        assert!(tunnel == 0 || tunnel == TUNNEL);
        self.flow(dst, spi, true, tunnel)
    }

    /// A flow that no SA has is counted.
    fn ghost(self, dst: &'static str, spi: u32) -> Self {
        self.flow(dst, spi, false, 0)
    }

    fn flow(mut self, dst: &'static str, spi: u32, known: bool, tunnel: u32) -> Self {
        let direction = match self.hook {
            Hook::Xdp | Hook::TcIngress => Direction::In,
            Hook::TcEgress => Direction::Out,
        };
        self.flow = Some(Flow { dst, spi: Spi::new(spi), direction, known, tunnel });
        self
    }
}

/// An IPv4 header.
fn v4(src: &str, dst: &str) -> Ipv4 {
    Ipv4::new(parse::<std::net::Ipv4Addr>(src), parse::<std::net::Ipv4Addr>(dst))
}

/// An IPv6 header.
fn v6(src: &str, dst: &str) -> Ipv6 {
    Ipv6::new(parse(src), parse(dst))
}

/// The peer's header to us.
fn to_us() -> Ipv4 {
    v4(crate::world::PEER, crate::world::US)
}

/// The peer's IPv6 header to us.
fn to_us6() -> Ipv6 {
    v6(crate::world::PEER6, crate::world::US6)
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("an address")
}
