//! Ethernet frames for tests: well-formed by default, and as broken as asked.

mod net;
mod payload;

pub use net::{Ext, Ipv4, Ipv6};
pub use payload::Payload;

/// MAC addresses of frames that name none.
const DST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 2];
const SRC_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];

/// Customer VLAN tag (IEEE 802.1Q).
const TPID_C: u16 = 0x8100;
/// Service VLAN tag (IEEE 802.1ad).
const TPID_S: u16 = 0x88a8;

/// A frame under construction.
#[derive(Clone, Debug)]
pub struct Frame {
    dst: [u8; 6],
    src: [u8; 6],
    tags: Vec<(u16, u16)>,
    ethertype: u16,
    body: Vec<u8>,
    cut: Option<usize>,
    pad: usize,
}

impl Frame {
    /// An IPv4 packet in a frame.
    #[must_use]
    pub fn v4(header: &Ipv4, payload: &Payload) -> Self {
        Self::raw(0x0800, header.packet(payload))
    }

    /// An IPv6 packet in a frame.
    #[must_use]
    pub fn v6(header: &Ipv6, payload: &Payload) -> Self {
        Self::raw(0x86dd, header.packet(payload))
    }

    /// Any bytes behind an Ethernet header.
    #[must_use]
    pub fn raw(ethertype: u16, body: Vec<u8>) -> Self {
        Self { dst: DST_MAC, src: SRC_MAC, tags: Vec::new(), ethertype, body, cut: None, pad: 0 }
    }

    /// Sets the MAC addresses.
    #[must_use]
    pub const fn macs(mut self, src: [u8; 6], dst: [u8; 6]) -> Self {
        self.src = src;
        self.dst = dst;
        self
    }

    /// Adds an 802.1Q tag inside the tags that are there.
    #[must_use]
    pub fn vlan(self, id: u16) -> Self {
        self.tag(TPID_C, id)
    }

    /// Adds an 802.1ad tag and an 802.1Q tag inside it.
    #[must_use]
    pub fn qinq(self, outer: u16, inner: u16) -> Self {
        self.tag(TPID_S, outer).tag(TPID_C, inner)
    }

    /// Adds a tag with any TPID inside the tags that are there.
    #[must_use]
    pub fn tag(mut self, tpid: u16, id: u16) -> Self {
        self.tags.push((tpid, id));
        self
    }

    /// Overrides the ethertype behind the tags.
    #[must_use]
    pub const fn ethertype(mut self, ethertype: u16) -> Self {
        self.ethertype = ethertype;
        self
    }

    /// Appends `len` zero bytes that no length field counts, as Ethernet pads short frames.
    #[must_use]
    pub const fn pad(mut self, len: usize) -> Self {
        self.pad = len;
        self
    }

    /// Cuts the whole frame to `len` bytes.
    #[must_use]
    pub const fn cut(mut self, len: usize) -> Self {
        self.cut = Some(len);
        self
    }

    /// The bytes.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut frame = [self.dst, self.src].concat();
        for (tpid, id) in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(id.to_be_bytes());
        }
        frame.extend(self.ethertype.to_be_bytes());
        frame.extend(&self.body);
        frame.resize(frame.len() + self.pad, 0);
        frame.truncate(self.cut.unwrap_or(usize::MAX));
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpNumber, NetSlice, SlicedPacket, TransportSlice};

    fn v4() -> Ipv4 {
        Ipv4::new([10, 55, 55, 1], [10, 66, 66, 1])
    }

    fn v6() -> Ipv6 {
        Ipv6::new("fd00:55::1".parse().unwrap(), "fd00:66::1".parse().unwrap())
    }

    /// The upper-layer protocol and payload as another parser sees them.
    fn upper(frame: &[u8]) -> (IpNumber, Vec<u8>) {
        let packet = SlicedPacket::from_ethernet(frame).unwrap();
        let payload = packet.net.unwrap().ip_payload_ref().unwrap().clone();
        (payload.ip_number, payload.payload.to_vec())
    }

    #[test]
    fn esp_behind_no_one_and_two_tags() {
        let esp = Payload::esp(0x6942_7567, 7, 32);
        let plain = Frame::v4(&v4(), &esp);
        for (tags, frame) in [(0, plain.clone()), (1, plain.clone().vlan(5)), (2, plain.qinq(5, 6))] {
            let frame = frame.build();
            let (proto, payload) = upper(&frame);
            assert_eq!(proto, IpNumber::ENCAPSULATING_SECURITY_PAYLOAD, "{tags} tags");
            assert_eq!(payload[..8], [0x69, 0x42, 0x75, 0x67, 0, 0, 0, 7], "{tags} tags");
            assert_eq!(payload.len(), 8 + 32, "{tags} tags");
            assert_eq!(SlicedPacket::from_ethernet(&frame).unwrap().vlan_ids().len(), tags);
        }
    }

    #[test]
    fn ipv4_options_and_fragments_are_where_the_standard_has_them() {
        let header = v4().options(8).fragment(185, true);
        let frame = Frame::v4(&header, &Payload::esp(1, 1, 8)).build();
        let packet = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(NetSlice::Ipv4(ip)) = packet.net else { panic!("not IPv4") };
        let header = ip.header().to_header();
        assert_eq!((header.options.len(), header.fragment_offset.value()), (8, 185));
        assert!(header.more_fragments);
        assert_eq!(header.header_checksum, header.calc_header_checksum());
    }

    #[test]
    fn an_extension_chain_ends_in_its_payload() {
        let header =
            v6().ext(Ext::HopByHop(1)).ext(Ext::Routing(0)).ext(Ext::DestOpts(2)).ext(Ext::Fragment(0, true));
        let frame = Frame::v6(&header, &Payload::esp(0x1000, 3, 16)).build();
        let (proto, payload) = upper(&frame);
        assert_eq!(proto, IpNumber::ENCAPSULATING_SECURITY_PAYLOAD);
        assert_eq!(payload[..4], [0, 0, 0x10, 0]);
        assert_eq!(frame.len(), 14 + 40 + 16 + 8 + 24 + 8 + 8 + 16);
    }

    #[test]
    fn transports_have_good_lengths_and_checksums() {
        let udp = Frame::v6(&v6(), &Payload::natt_esp(0x1000, 1, 20)).build();
        let packet = SlicedPacket::from_ethernet(&udp).unwrap();
        let Some(TransportSlice::Udp(slice)) = packet.transport else { panic!("not UDP") };
        assert_eq!((slice.source_port(), slice.destination_port()), (4500, 4500));
        assert_eq!(slice.payload().len(), 8 + 20);
        let ends = ("fd00:55::1".parse::<std::net::Ipv6Addr>().unwrap(), "fd00:66::1".parse().unwrap());
        let sum = slice.to_header().calc_checksum_ipv6_raw(
            ends.0.octets(),
            std::net::Ipv6Addr::octets(&ends.1),
            slice.payload(),
        );
        assert_eq!(sum.unwrap(), slice.checksum());

        let icmp = Frame::v4(&v4(), &Payload::icmp_echo(1, 2, 56)).build();
        assert!(matches!(
            SlicedPacket::from_ethernet(&icmp).unwrap().transport,
            Some(TransportSlice::Icmpv4(_))
        ));
        let tcp = Frame::v4(&v4(), &Payload::tcp(1025, 443, 10)).build();
        assert!(matches!(SlicedPacket::from_ethernet(&tcp).unwrap().transport, Some(TransportSlice::Tcp(_))));
    }

    #[test]
    fn broken_headers_are_broken_as_asked() {
        let esp = Payload::esp(1, 1, 8);
        assert_eq!(Frame::v4(&v4().ihl(4), &esp).build()[14], 0x44);
        assert_eq!(Frame::v4(&v4().version(6), &esp).build()[14], 0x65);
        assert_eq!(Frame::v4(&v4().total_len(9000), &esp).build()[16..18], 9000_u16.to_be_bytes());
        assert_eq!(Frame::v6(&v6().version(4), &esp).build()[14], 0x40);
        assert_eq!(Frame::v6(&v6().payload_len(0), &esp).build()[18..20], [0, 0]);
        assert_eq!(Frame::v4(&v4(), &esp).pad(10).build().len(), 14 + 20 + 16 + 10);
        assert_eq!(Frame::v4(&v4(), &esp).cut(37).build().len(), 37);
    }
}
