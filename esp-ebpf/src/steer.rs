//! ESP of an SA, handed to the CPU that decrypts all of it.

use crate::{Outcome, Packet, Place};

/// Hands a packet that passes to its SA's CPU, if it has one; whether it did. Without an SA in the table there is none.
#[inline(always)] // a compare where nothing is steered
pub fn handed<P: Packet>(packet: &P, place: &Place<'_>, outcome: &Outcome) -> bool {
    place.settings.steer != 0 && outcome.slot().is_some_and(|slot| packet.hand(slot))
}
