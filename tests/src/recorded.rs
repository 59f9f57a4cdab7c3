//! What is in the captures, by a reading that is not ours.
//!
//! Derived with tcpdump 4.99: `tcpdump -nn -e -r FILE`, one line a packet, its kind from the words behind the addresses
//! (`ESP(spi=`, `isakmp`, `isakmp-nat-keep-alive`, `ARP`), its bytes from the frame length that `-e` prints; then summed.

use esp_common::{Counter, Reason};

/// A capture and what is in it.
#[derive(Debug)]
pub struct Recorded {
    /// File.
    pub name: &'static str,
    /// ESP flows: destination, SPI, packets, bytes.
    pub flows: &'static [(&'static str, u32, Counter)],
    /// All that is no ESP.
    pub others: &'static [(Reason, Counter)],
}

const fn count(packets: u64, bytes: u64) -> Counter {
    Counter { packets, bytes }
}

/// All captures.
pub const ALL: [Recorded; 3] = [
    Recorded {
        name: "02-sunrise-sunset-esp.pcap",
        flows: &[("192.1.2.45", 0x1234_5678, count(8, 1_200))],
        others: &[],
    },
    Recorded { name: "espudp1.pcap", flows: &[("192.1.2.45", 0x1234_5678, count(8, 1_264))], others: &[] },
    Recorded {
        name: "isakmp4500.pcap",
        flows: &[("192.1.2.23", 0xf4dc_0ae5, count(8, 1_392))],
        others: &[
            (Reason::NotIp, count(8, 336)),
            (Reason::Ike, count(15, 4_346)),
            (Reason::NatKeepalive, count(4, 172)),
        ],
    },
];
