//! Beside strongSwan: 50 rekeys under traffic, all guards in enforce.

use anyhow::Result;
use esp_tests::ike::{Strongswan, rekeys_cost_no_packet};

#[test]
#[ignore = "T4: root, ESP"]
fn rekeys_of_strongswan_cost_no_packet_in_enforce() -> Result<()> {
    rekeys_cost_no_packet::<Strongswan>()
}
