//! From a tunnel to its SAs and policies: the directions are decided here, once.

use super::desired::{KeyedSa, NamedPolicy};
use super::protection::Protection;
use super::valid::Tunnel;
use crate::xfrm::model::{
    ESP, Encap, Limits, Mark, Mode, Net, Policy, PolicyAction, PolicyDir, PolicyId, Port, Sa, SaId, Selector,
    Template,
};
use esp_common::Spi;
use std::net::IpAddr;

/// `UDP_ENCAP_ESPINUDP`.
pub(super) const ESP_IN_UDP: u16 = 2;
/// `XFRM_STATE_AF_UNSPEC`: the inner family need not be the outer one.
const AF_UNSPEC: u8 = 32;

/// Outer addresses.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) local: IpAddr,
    pub(super) remote: IpAddr,
}

/// Everything about a tunnel but its SPIs and keys.
pub(super) struct TunnelShape {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) ends: Ends,
    pub(super) networks: Vec<(Net, Net)>,
    pub(super) protocol: u8,
    pub(super) reqid: u32,
    pub(super) if_id: u32,
    pub(super) priority: Option<u32>,
    pub(super) forward: bool,
    pub(super) replay_window: u32,
    pub(super) esn: bool,
    pub(super) encap_in: Option<Encap>,
    pub(super) encap_out: Option<Encap>,
}

impl TunnelShape {
    /// The tunnel with an SA for each direction and with all its policies.
    pub(super) fn derive(self, inbound: (Spi, Protection), outbound: (Spi, Protection)) -> Tunnel {
        let Ends { local, remote } = self.ends;
        let sas = vec![
            self.sa(remote, local, inbound, self.encap_in),
            self.sa(local, remote, outbound, self.encap_out),
        ];
        let policies = self.policies();
        Tunnel {
            name: self.name,
            mode: self.mode,
            local,
            remote,
            reqid: self.reqid,
            if_id: self.if_id,
            networks: self.networks,
            protocol: self.protocol,
            sas,
            keepalive: None,
            parts: Vec::new(),
            policies,
        }
    }

    fn sa(
        &self,
        src: IpAddr,
        dst: IpAddr,
        (spi, protection): (Spi, Protection),
        encap: Option<Encap>,
    ) -> KeyedSa {
        let sa = Sa {
            reqid: self.reqid,
            if_id: self.if_id,
            suite: protection.suite,
            keys: protection.keys.print(),
            replay_window: self.replay_window,
            esn: self.esn,
            flags: sa_flags(self.mode),
            encap,
            ..Sa::bare(SaId { dst, spi, proto: ESP, mark: Mark::default() }, src, self.mode)
        };
        KeyedSa { sa, keys: protection.keys, tunnel: Some(self.name.clone()), device: None }
    }

    /// `out` selects what to protect; `in` and `fwd` let in what was decrypted, for this host and for the network
    /// behind it. Without them the kernel drops it silently.
    fn policies(&self) -> Vec<NamedPolicy> {
        let forwards = self.forward && self.mode == Mode::Tunnel;
        let mut policies = Vec::new();
        for (index, networks) in self.networks.iter().enumerate() {
            policies.push(self.policy(PolicyDir::Out, index, *networks));
            policies.push(self.policy(PolicyDir::In, index, *networks));
            if forwards {
                policies.push(self.policy(PolicyDir::Fwd, index, *networks));
            }
        }
        policies
    }

    fn policy(&self, dir: PolicyDir, index: usize, (ours, theirs): (Net, Net)) -> NamedPolicy {
        let Ends { local, remote } = self.ends;
        let label = label(dir);
        let (src, dst, from, to) = match dir {
            PolicyDir::Out => (ours, theirs, local, remote),
            PolicyDir::In | PolicyDir::Fwd => (theirs, ours, remote, local),
        };
        let any = Port::default();
        let selector = Selector { src, dst, proto: self.protocol, sport: any, dport: any, ifindex: 0 };
        let template = Template {
            src: from,
            dst: to,
            // Any SPI with our reqid: a new SA of the tunnel needs no new policy.
            spi: Spi::new(0),
            proto: ESP,
            mode: self.mode,
            reqid: self.reqid,
            optional: false,
        };
        let policy = Policy {
            id: PolicyId { selector, dir, mark: Mark::default(), if_id: self.if_id },
            priority: self.priority.unwrap_or_else(|| priority(&selector)),
            action: PolicyAction::Allow,
            flags: 0,
            templates: vec![template],
            limits: Limits::default(),
            offload: None,
        };
        let suffix = if index == 0 { String::new() } else { format!("/{}", index + 1) };
        NamedPolicy {
            policy,
            name: format!("{}/{label}{suffix}", self.name),
            tunnel: Some(self.name.clone()),
            device: None,
        }
    }
}

/// How names of derived policies end.
pub(super) const fn label(dir: PolicyDir) -> &'static str {
    match dir {
        PolicyDir::Out => "out",
        PolicyDir::In => "in",
        PolicyDir::Fwd => "fwd",
    }
}

/// Flags of an SA of `mode`. In tunnel mode IPv6 may go through IPv4 and the other way round.
pub(super) fn sa_flags(mode: Mode) -> u8 {
    if mode == Mode::Tunnel { AF_UNSPEC } else { 0 }
}

/// The network of one host.
pub(super) fn host(addr: IpAddr) -> Net {
    Net { addr, len: if addr.is_ipv4() { 32 } else { 128 } }
}

/// The request id of a tunnel that names none: `ES` and 16 bits of its name, the same after each restart.
pub(super) fn reqid(name: &str) -> u32 {
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    0x4553_0000 | ((hash >> 16) ^ (hash & 0xffff))
}

/// The if_id of a tunnel that has an interface and names none, alike.
pub(super) fn if_id(name: &str) -> u32 {
    reqid(name)
}

/// The priority of a policy that names none: the narrower its selector, the smaller, and the smaller wins.
///
/// From 1945 to 4000: ahead of what strongSwan computes (above 100000).
pub(super) fn priority(selector: &Selector) -> u32 {
    let prefixes = u32::from(selector.src.len) + u32::from(selector.dst.len);
    let narrowed = [(selector.proto != 0, 4), (selector.sport.mask != 0, 2), (selector.dport.mask != 0, 1)];
    let extra: u32 = narrowed.iter().filter(|(is, _)| *is).map(|(_, weight)| weight).sum();
    4000 - 8 * prefixes.min(256) - extra
}

/// The priority of a bypass or a discard that names none: ahead of every tunnel that names none, and among
/// themselves by the same order. From 101 to 1900.
pub(super) fn priority_beside(selector: &Selector) -> u32 {
    let behind_the_widest = 4000 - priority(selector);
    let (prefixes, extra) = (behind_the_widest / 8, behind_the_widest % 8);
    1900 - 7 * prefixes - extra
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_reqid_depends_on_the_name_alone() {
        assert_eq!(reqid("site-b"), reqid("site-b"));
        assert_ne!(reqid("site-a"), reqid("site-b"));
        assert_eq!(reqid("site-a") >> 16, 0x4553);
    }

    #[test]
    fn the_narrower_selector_has_the_smaller_priority() {
        let net = |len| Net { addr: Ipv4Addr::UNSPECIFIED.into(), len };
        let any = Port::default();
        let wide = Selector { src: net(0), dst: net(0), proto: 0, sport: any, dport: any, ifindex: 0 };
        let prefix = Selector { dst: net(1), ..wide };
        let protocol = Selector { proto: 6, ..wide };
        let port = Selector { dport: Port { port: 22, mask: u16::MAX }, ..protocol };
        assert_eq!(priority(&wide), 4000);
        assert!(priority(&protocol) < priority(&wide));
        assert!(priority(&port) < priority(&protocol));
        assert!(priority(&prefix) < priority(&port));
    }

    #[test]
    fn what_stands_beside_tunnels_comes_before_them() {
        let v6 = |len| Net { addr: std::net::Ipv6Addr::UNSPECIFIED.into(), len };
        let one = Port { port: 22, mask: u16::MAX };
        let widest = Selector {
            src: v6(0),
            dst: v6(0),
            proto: 0,
            sport: Port::default(),
            dport: Port::default(),
            ifindex: 0,
        };
        let narrowest = Selector { src: v6(128), dst: v6(128), proto: 6, sport: one, dport: one, ifindex: 0 };
        assert_eq!([priority_beside(&widest), priority_beside(&narrowest)], [1900, 101]);
        assert!(priority_beside(&widest) < priority(&narrowest));
        assert!(priority_beside(&Selector { proto: 6, ..widest }) < priority_beside(&widest));
    }
}
