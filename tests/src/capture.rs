//! What passes a router, by kind.

use crate::{netns::Netns, wire::Wire};
use anyhow::Result;
use etherparse::{IpNumber, LaxSlicedPacket, NetSlice, SlicedPacket, UdpHeader};
use std::{fmt, net::IpAddr};

/// IKE and ESP behind a NAT (RFC 3948).
const NATT: u16 = 4500;

/// What a frame carries, told without the code that is under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// ICMP or ICMPv6 echo, request or reply, in the clear.
    Echo,
    /// ESP to this address with this SPI.
    Esp(IpAddr, u32),
    /// ESP in UDP from or to port 4500, to this address with this SPI.
    NattEsp(IpAddr, u32),
    /// A NAT keepalive to this address.
    Keepalive(IpAddr),
    /// IP in IP, in the clear.
    IpIp,
    /// Anything else.
    Other,
}

impl Kind {
    /// Of an Ethernet frame.
    #[must_use]
    pub fn of(frame: &[u8]) -> Self {
        Self::known(frame).unwrap_or(Self::Other)
    }

    fn known(frame: &[u8]) -> Option<Self> {
        let packet = LaxSlicedPacket::from_ethernet(frame).ok()?;
        let dst = destination(frame)?;
        let payload = packet.ip_payload()?;
        let bytes = payload.payload;
        match payload.ip_number {
            IpNumber::ENCAPSULATING_SECURITY_PAYLOAD => Some(Self::Esp(dst, spi(bytes)?)),
            IpNumber::IPV4 | IpNumber::IPV6 => Some(Self::IpIp),
            IpNumber::ICMP => matches!(bytes.first()?, 0 | 8).then_some(Self::Echo),
            IpNumber::IPV6_ICMP => matches!(bytes.first()?, 128 | 129).then_some(Self::Echo),
            IpNumber::UDP => {
                let (udp, inside) = UdpHeader::from_slice(bytes).ok()?;
                let natt = [udp.source_port, udp.destination_port].contains(&NATT);
                match inside {
                    [0xff] if natt => Some(Self::Keepalive(dst)),
                    _ => Some(Self::NattEsp(dst, spi(inside).filter(|spi| natt && *spi != 0)?)),
                }
            }
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Echo => f.write_str("plain ICMP echo"),
            Self::Esp(dst, spi) => write!(f, "ESP 0x{spi:08x} to {dst}"),
            Self::NattEsp(dst, spi) => write!(f, "ESP in UDP 0x{spi:08x} to {dst}"),
            Self::Keepalive(dst) => write!(f, "NAT keepalive to {dst}"),
            Self::IpIp => f.write_str("plain IP in IP"),
            Self::Other => f.write_str("other"),
        }
    }
}

fn destination(frame: &[u8]) -> Option<IpAddr> {
    match SlicedPacket::from_ethernet(frame).ok()?.net? {
        NetSlice::Ipv4(ip) => Some(IpAddr::V4(ip.header().destination_addr())),
        NetSlice::Ipv6(ip) => Some(IpAddr::V6(ip.header().destination_addr())),
        NetSlice::Arp(_) => None,
    }
}

fn spi(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|spi| u32::from_be_bytes(*spi))
}

/// A frame and where it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The interface.
    pub iface: String,
    /// What it carries.
    pub kind: Kind,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// A running capture of what comes in on some interfaces of one namespace: on a router that is each packet once.
#[derive(Debug)]
pub struct Capture(Vec<(String, Wire)>);

impl Capture {
    /// Starts it.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn start(netns: &Netns, ifaces: &[&str]) -> Result<Self> {
        let open = |iface: &&str| Ok(((*iface).to_owned(), Wire::open(netns, iface)?));
        Ok(Self(ifaces.iter().map(open).collect::<Result<_>>()?))
    }

    /// What has come in since the start or the last call. Does not wait: what a peer has answered came in before its
    /// answer did.
    ///
    /// # Errors
    /// When frames were lost.
    pub fn take(&self) -> Result<Traffic> {
        let mut all = Vec::new();
        for (iface, wire) in &self.0 {
            for received in wire.drain()?.into_iter().filter(|received| !received.outgoing) {
                let kind = Kind::of(&received.frame);
                all.push(Seen { iface: iface.clone(), kind, frame: received.frame });
            }
        }
        Ok(Traffic(all))
    }
}

/// What a capture saw.
#[derive(Clone, Debug, Default)]
pub struct Traffic(pub Vec<Seen>);

impl Traffic {
    /// Frames of this kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.0.iter().filter(|seen| seen.kind == kind).count() as u64
    }

    /// Frames that show inner packets in the clear.
    #[must_use]
    pub fn clear(&self) -> u64 {
        self.count(Kind::Echo) + self.count(Kind::IpIp)
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<Kind> =
            self.0.iter().map(|seen| seen.kind).filter(|kind| *kind != Kind::Other).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let parts: Vec<String> =
            kinds.into_iter().map(|kind| format!("{} x {kind}", self.count(kind))).collect();
        if parts.is_empty() { f.write_str("nothing") } else { f.write_str(&parts.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, Ipv4, Ipv6, Payload};

    #[test]
    fn frames_are_told_apart() {
        let to: IpAddr = "10.66.66.1".parse().unwrap();
        let to6: IpAddr = "fd00:66::1".parse().unwrap();
        let v4 = Ipv4::new([10, 55, 55, 1], [10, 66, 66, 1]);
        let v6 = Ipv6::new("fd00:55::1".parse().unwrap(), "fd00:66::1".parse().unwrap());
        for (frame, kind) in [
            (Frame::v4(&v4, &Payload::esp(0x1234, 1, 40)), Kind::Esp(to, 0x1234)),
            (Frame::v6(&v6, &Payload::esp(0x1234, 1, 40)).vlan(3), Kind::Esp(to6, 0x1234)),
            (Frame::v4(&v4, &Payload::natt_esp(0x1234, 1, 40)), Kind::NattEsp(to, 0x1234)),
            (Frame::v4(&v4, &Payload::natt_ike(40)), Kind::Other),
            (Frame::v4(&v4, &Payload::natt_keepalive()), Kind::Keepalive(to)),
            (Frame::v4(&v4, &Payload::icmp_echo(1, 1, 40)), Kind::Echo),
            (Frame::v6(&v6, &Payload::icmp_echo(1, 1, 40)), Kind::Echo),
            (Frame::v4(&v4, &Payload::raw(4, v4.packet(&Payload::tcp(1, 2, 3)))), Kind::IpIp),
            (Frame::v4(&v4, &Payload::tcp(1, 2, 3)), Kind::Other),
            (Frame::raw(0x0806, vec![0; 28]), Kind::Other),
        ] {
            assert_eq!(Kind::of(&frame.build()), kind, "{frame:?}");
        }
    }
}
