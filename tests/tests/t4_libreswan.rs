//! Beside libreswan: 50 rekeys under traffic, all guards in enforce. On a kernel that cannot be asked for an SA at XDP,
//! because there a peer that sends by an SA without keys yet is hard to tell from one that sends by none.

use anyhow::Result;
use esp_tests::ike::{Libreswan, rekeys_cost_no_packet};

#[test]
#[ignore = "T4: root, ESP, on the oldest kernel"]
fn rekeys_of_libreswan_cost_no_packet_in_enforce() -> Result<()> {
    rekeys_cost_no_packet::<Libreswan>()
}
